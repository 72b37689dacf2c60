package source

import "context"

// dial opens the conversation that an address asks for.
func (w *Workshop) dial(ctx context.Context, a address, cred credential) (remote, error) {
	switch a.scheme {
	case "file":
		return openFolder(a.path)
	case "ssh":
		return w.dialShell(ctx, a, cred)
	}
	return w.dialWeb(a, cred)
}
