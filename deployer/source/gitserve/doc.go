// Package gitserve serves one bare repository over git's smart HTTP protocol,
// in this process: the git program and go-git can clone, fetch and push.
//
// The one idea: it is for a sample repository on the loopback interface. There
// is no authentication and no access control; never let it listen elsewhere.
//
// Guarantees: a ref changes only from the value that the pusher saw; pushes are
// taken one at a time; a pack that is not a pack changes nothing; Pushed runs
// once for each ref that changed, before the pusher gets its answer.
package gitserve
