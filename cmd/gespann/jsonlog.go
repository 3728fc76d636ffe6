package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/gespann/gespann/internal/train"
)

// jsonLog writes one JSON object per event, with its kind in "event".
func jsonLog(out io.Writer) func(train.Event) {
	enc := json.NewEncoder(out)
	return func(e train.Event) { enc.Encode(jsonEvent(e)) }
}

// slogEvents writes events as records of a log, whose message is their kind, too.
func slogEvents(log *slog.Logger) func(train.Event) {
	return func(e train.Event) {
		o := jsonEvent(e)
		log.Info(fmt.Sprint(o["event"]), attrsOf(o)...)
	}
}

// An object is a JSON object.
type object = map[string]any

func jsonEvent(e train.Event) object {
	switch e := e.(type) {
	case train.Started:
		return object{
			"event": "start", "dir": e.Dir, "from": e.From, "weights": e.Weights, "parameters": e.Parameters,
			"training_rows": e.Rows[0], "validation_rows": e.Rows[1], "test_rows": e.Rows[2],
			"epochs": e.Epochs, "epochs_done": e.Epoch,
			"step": e.Step, "steps": e.StepsPerEpoch,
		}
	case train.Note:
		return object{"event": "note", "text": e.Text}
	case train.Progress:
		return object{
			"event": "progress", "epoch": e.Epoch, "epochs": e.Epochs, "step": e.Step, "steps": e.Steps,
			"values": jsonValues(e.Values), "rows_per_second": train.JSONNumber(e.RowsPerSecond),
			"seconds_left": e.Left.Seconds(),
		}
	case train.EpochEnd:
		return object{
			"event": "epoch", "epoch": e.Epoch, "epochs": e.Epochs, "total_steps": e.Step,
			"values": jsonValues(e.Values), "learning_rate": e.Rate, "best": e.Best,
			"rows_per_second": train.JSONNumber(e.RowsPerSecond), "seconds": e.Seconds,
			"seconds_left": e.Left.Seconds(),
		}
	case train.Saved:
		return object{"event": "checkpoint", "path": e.Path, "total_steps": e.Step}
	case train.Bill:
		return jsonBill(e.Account)
	case *train.Result:
		o := object{
			"event": "end", "dir": e.Dir, "model": e.Model, "epochs": e.Epochs,
			"stopped_early": e.Stopped, "best_epoch": nil, "weights_epoch": cmp.Or(e.Best, e.Epochs),
			"test": jsonValues(e.Test),
		}
		if e.BestSeen > 0 {
			o["best_epoch"] = e.BestSeen
		}
		return o
	}
	return object{"event": "unknown"}
}

func jsonValues(values []train.Value) object {
	o := object{}
	for _, v := range values {
		o[v.Name] = train.JSONNumber(v.Value)
	}
	return o
}
