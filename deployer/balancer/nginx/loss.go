package nginx

import (
	"slices"
	"strings"
)

// losses names what the blocks that requests leave had beside the targets: other
// servers, and parameters of the targets' lines.
func (f *finder) losses(blocks []*statement) []obstacle {
	var out []obstacle
	for _, block := range blocks {
		if servers := f.spared(block); servers != "" {
			out = append(out, obstacle{Do: doSpare, At: f.at(block), Keep: servers})
		}
		if params := f.params(block); params != "" {
			out = append(out, obstacle{Do: doParams, At: f.at(block), Keep: params})
		}
	}
	return out
}

// spared gives the servers of a block that are no targets and receive requests.
func (f *finder) spared(block *statement) string {
	var out []string
	for _, s := range f.servers[block] {
		idle := slices.Contains(s.Words[2:], "down") || slices.Contains(s.Words[2:], "backup")
		if !idle && !f.hits(s.goal().Addr) {
			out = append(out, s.Words[1])
		}
	}
	return oneLine(strings.Join(out, ", "))
}

// params gives the parameters of the targets' lines that ipublish's lines lack.
func (f *finder) params(block *statement) string {
	known := append(strings.Fields(f.settings.ServerParams), "down", "backup")
	var out []string
	for _, s := range f.servers[block] {
		if !f.hits(s.goal().Addr) {
			continue
		}
		for _, p := range s.Words[2:] {
			if !slices.Contains(known, p) {
				known, out = append(known, p), append(out, p)
			}
		}
	}
	return oneLine(strings.Join(out, " "))
}
