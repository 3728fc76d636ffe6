package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refuse is what a server answers to a stream that it does not want, now or ever.
func refuse(format string, args ...any) error {
	return status.Errorf(codes.PermissionDenied, format, args...)
}

// leave is what a server says when a stream ends because of an error.
func leave(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Aborted, err.Error())
}

// sentence turns an error of gRPC into one for people. The other side is called
// who.
func sentence(who string, err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", who, err)
	}
	switch text := s.Message(); s.Code() {
	case codes.PermissionDenied:
		return fmt.Errorf("%s: %w %s", who, ErrRefused, text)
	case codes.Aborted:
		return fmt.Errorf("%s: %s", who, text)
	case codes.Unimplemented:
		return fmt.Errorf("%s: %w the connection: %s\nhint: is that the address of another program?", who, ErrRefused, text)
	case codes.Canceled:
		return fmt.Errorf("%s: %w", who, context.Canceled)
	case codes.Unavailable:
		return fmt.Errorf("%s: connection is lost: %s", who, plain(text))
	case codes.ResourceExhausted:
		return fmt.Errorf("%s: got a larger message than allowed: %s", who, text)
	default:
		return fmt.Errorf("%s: %s", who, plain(text))
	}
}

// plain takes off what gRPC puts before the reason.
func plain(text string) string {
	for _, prefix := range []string{"error reading from server: ", "connection error: desc = ", "transport: ",
		"keepalive ping failed to receive ACK within timeout"} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			if rest == "" {
				return "it does not answer"
			}
			return plain(rest)
		}
	}
	if text == io.EOF.Error() {
		return "it was closed"
	}
	return strings.Trim(text, `"`)
}

// isEnd reports whether an error only says that a connection was closed.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled)
}
