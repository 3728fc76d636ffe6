// Package jobs keeps the jobs of a coordinator in a folder: what was asked, how
// it went, and the run directories. Its promise is that of internal/checkpoint:
// whatever is there is complete.
//
//	jobs/<id>/job.json      the job's Record
//	jobs/<id>/spec.yaml     what was submitted
//	jobs/<id>/run/          the run directory
//	jobs/<id>/log.txt       what it told
//	jobs/<id>/events.jsonl  its Curve, one point per line
package jobs
