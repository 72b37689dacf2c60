package bot

import (
	"sync"

	"ipublish/bot/phrase"
)

// translations keep what is read once. The zero value is ready to use.
type translations struct {
	once    sync.Once
	chinese *phrase.Catalogue
}

// of gives what says in a chat's language what is English here; nil for a chat
// that is told in English.
func (t *translations) of(c Config, chat string) *phrase.Catalogue {
	if c.Languages[chat] != "zh" {
		return nil
	}
	t.once.Do(func() { t.chinese = phrase.Chinese() })
	return t.chinese
}
