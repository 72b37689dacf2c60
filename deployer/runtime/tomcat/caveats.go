package tomcat

import "encoding/json"

// Caveats are the sentences that people shall read with every plan and report of
// a section; nil where there is nothing to say, and for a section that New refuses.
func Caveats(raw json.RawMessage) []string {
	s, err := decode(raw)
	if err != nil || s.Sessions != sessionsLost {
		return nil
	}
	return []string{"sessions of the old slot are lost at the switch: users have to sign in again (tomcat.sessions: lost)"}
}
