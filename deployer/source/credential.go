package source

import (
	"fmt"

	"ipublish/deploy"
)

// credential opens the repository, with its references resolved.
type credential struct {
	sshKey     string
	knownHosts string
	user       string
	token      string
}

// credential resolves the references of a configured credential.
// deploy.CodeInvalid names the key whose reference does not resolve; its value
// is never told.
func (w *Workshop) credential(c deploy.Credential) (credential, error) {
	var out credential
	for _, v := range []struct {
		key, from string
		to        *string
	}{
		{"ssh_key", c.SSHKey, &out.sshKey},
		{"known_hosts", c.KnownHosts, &out.knownHosts},
		{"user", c.User, &out.user},
		{"token", c.Token, &out.token},
	} {
		if v.from == "" {
			continue
		}
		s, err := w.o.Resolve(v.from)
		if err != nil {
			return credential{}, fault(deploy.CodeInvalid, "resolve", "credentials."+v.key,
				fmt.Sprintf("credentials.%s holds a reference that cannot be resolved", v.key), err)
		}
		*v.to = s
	}
	return out, nil
}
