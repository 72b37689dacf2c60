package phrase_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ipublish/bot/phrase"
	"ipublish/deploy"
)

func TestALineIsSaidInChinese(t *testing.T) {
	zh := phrase.Chinese()
	for name, c := range map[string]struct{ en, want string }{
		"a whole format":                   {"superseded by #10", "已被 #10 取代"},
		"arguments in another order":       {"port 8081 is held by process 7 (java -jar x), which ipublish did not start: stop it", "端口 8081 被进程 7（java -jar x）占用，它不是由 ipublish 启动的：请停止它"},
		"an error as it is journaled":      {"check green: it answers as release \"abc\" (header:X-Release), not 4f2a91c", "检查绿槽位：返回的版本是 \"abc\"（header:X-Release），而不是 4f2a91c"},
		"texts within texts":               {"check web-1: 4f2a91c on green (port 8081) did not become healthy within 5m0s; last: GET /healthz answers 500, not 200", "检查 web-1：4f2a91c（绿槽位，端口 8081）未能在 5m0s 内变为健康；最近一次：GET /healthz 返回 500，而不是 200"},
		"a reason is joined to a message":  {"bake green: no answer (EOF); auto_revert is off", "观察绿槽位：没有响应（EOF）；未开启 auto_revert"},
		"a command to type":                {"undo: `rollback shop production to 4f2a91c` (instant until 12:10 UTC)", "撤销：`rollback shop production to 4f2a91c`（12:10 UTC 之前可即时回滚）"},
		"a commit's title":                 {"serving now: 4f2a91c on blue Fix: took 3s; nothing is live on green", "当前提供服务：4f2a91c（蓝槽位）Fix: took 3s; nothing is live on green"},
		"no commit's title":                {"serving now: 4f2a91c on blue", "当前提供服务：4f2a91c（蓝槽位）"},
		"an indented line":                 {"  live: nothing yet", "  线上：暂无"},
		"a numbered step":                  {"  4. start green on web-1, web-2", "  4. 在 web-1, web-2 启动绿槽位"},
		"a line of history":                {"2026-01-02 15:04 UTC · shop/production · succeeded, took 12s · #142 deploy main 4f2a91c Fix by hand by alice", "2026-01-02 15:04 UTC · shop/production · 成功，用时 12s · #142 发布 main 4f2a91c Fix by hand，发起人 alice"},
		"what is live":                     {"  live: 4f2a91c Fix on blue, again on green since 2026-01-02 15:04 UTC (3 h) by alice, #9", "  线上：4f2a91c Fix on blue, again（绿槽位），自 2026-01-02 15:04 UTC 起（3 小时），发布人 alice，#9"},
		"what goes on":                     {"  now: #142 deploy main 4f2a91c Fix failed tests by alice deploying, step 4 of 12: start green", "  当前：#142 发布 main 4f2a91c Fix failed tests，发起人 alice 发布中，第 4/12 步：启动绿槽位"},
		"a plan":                           {"shop → production: deploy 4f2a91c Fix to green; 0d7b5e6 Old, on time to blue on blue serves until the switch", "shop → production：发布 4f2a91c Fix 到绿槽位；切换前由 0d7b5e6 Old, on time to blue（蓝槽位）提供服务"},
		"what was missed":                  {"shop → production: main is at 4f2a91c Fix: it is at, 0d7b5e6 is live: `deploy shop main to production`", "shop → production：main 的最新提交是 4f2a91c Fix: it is at，线上是 0d7b5e6：`deploy shop main to production`"},
		"a misspelt word":                  {"\"stauts\" is not a command — did you mean status? There are: deploy, status", "\"stauts\" 不是命令，您是指 status 吗？可用命令：deploy, status"},
		"a misspelt word, nothing like it": {"\"x\" is not a command. There are: deploy, status", "\"x\" 不是命令。可用命令：deploy, status"},
		"nothing to do in a place":         {"there is nothing to cancel in shop/production", "没有可以 cancel 的发布（shop/production）"},
		"nothing to do":                    {"there is nothing to cancel", "没有可以 cancel 的发布"},
		"a fleet's traffic":                {"  9 of 10 hosts in traffic", "  共 10 台主机，9 台有流量"},
		"who is out":                       {"  web-3 out of traffic for 3 days by #141 (ann), until online", "  web-3 没有流量 3 天，由 #141（ann）操作，直到 online"},
		"who runs something else":          {"  14 hosts run b9a0a1c: web-4, web-7, and 12 more", "  14 台主机运行的是 b9a0a1c：web-4, web-7，另有 12 台"},
		"a batch":                          {"  6. batch 2 of 3: web-2, web-3 (2 hosts), 1 at a time: out of traffic, drain at most 30s, stop, start, check, back in", "  6. 第 2/3 批：web-2, web-3（共 2 台），每次 1 台：摘除流量、排空（最多 30s）、停止、启动、检查、重新接入"},
		"a batch of one":                   {"  4. batch 1 of 3: web-1: check, back in", "  4. 第 1/3 批：web-1：检查、接入流量"},
		"a verb's hosts":                   {"#9 queued: offline web-3, web-4 of shop → production. `cancel #9` takes it back", "#9 已排队：下线 shop → production 的 web-3, web-4。`cancel #9` 可撤回"},
		"a verb of the past":               {"2026-01-02 15:04 UTC · shop/production · succeeded, took 12s · #142 restart by ann, without web-2", "2026-01-02 15:04 UTC · shop/production · 成功，用时 12s · #142 重启，发起人 ann，不含 web-2"},
		"a pause":                          {"#9 pauses before the next hosts, web-4: `resume #9` goes on, `cancel #9` goes back", "#9 将在处理下一批主机（web-4）之前暂停：`resume #9` 继续，`cancel #9` 退回"},
		"at work on hosts":                 {"now: drain of web-4, web-5", "正在排空：web-4, web-5"},
		"left behind":                      {"web-3 is left behind: max_failed_hosts is 1", "已跳过 web-3：max_failed_hosts 为 1"},
		"a percent sign":                   {"the path \"a%b\" in the ssh configuration holds a token other than %d %h %n %p %r %u", "ssh 配置中的路径 \"a%b\" 含有 %d %h %n %p %r %u 以外的占位符"},
		"a cause that nobody knows":        {"start green: run of true on web-1 ended with exit status 3: no space left", "启动绿槽位：web-1 上执行 true，以退出码 3 结束：no space left"},
		"one part that is known":           {"frobnicate: took 3s", "frobnicate: 用时 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := zh.Line(c.en); got != c.want {
				t.Errorf("\n  line %q\n   got %q\n  want %q", c.en, got, c.want)
			}
		})
	}
}

func TestWhatIsNotOursStaysAsItIs(t *testing.T) {
	zh := phrase.Chinese()
	for name, line := range map[string]string{
		"nothing":                        "",
		"blanks":                         "  ",
		"a stranger's words":             "Merge pull request #7 from evil/[x](https://evil) <@U1> `rm -rf`",
		"a log line":                     "ERROR: relation \"a\" does not exist; at character 8",
		"a format in a command to type":  "type `took 3s` now",
		"a joint in a command to type":   "type `a: took 3s; nothing is live` now",
		"an unfinished command":          "a `b: took 3s",
		"a number that is none":          "superseded by #many",
		"a slot that is none":            "4f2a91c on purple (port 8081) no answer yet",
		"a very long line":               "superseded by #10 " + strings.Repeat("x", 2000),
		"invalid bytes":                  "serving \xff\xfe later",
		"another's words between format": "the connection to `a broke",
	} {
		t.Run(name, func(t *testing.T) {
			if got := zh.Line(line); got != line {
				t.Errorf("%q became %q", line, got)
			}
		})
	}
}

func TestWorkIsBoundedForALineMadeToBeSlow(t *testing.T) {
	zh := phrase.Chinese()
	pieces := []string{": ", "; ", "a: ", " on ", "%s", "`", "\"", "serving now: "}
	for i, p := range catalogue(t) {
		if i%10 == 0 {
			pieces = append(pieces, p.Format+": ")
		}
	}
	for _, piece := range pieces {
		line := strings.Repeat(piece, 2000/len(piece))
		if n := testing.AllocsPerRun(1, func() { zh.Line(line) }); n > 20_000 {
			t.Errorf("%q costs %v allocations", piece, n)
		}
	}
}

func TestAMessageIsSaidInChinese(t *testing.T) {
	en := deploy.Message{
		Channel: "slack:C1", Ref: "7", Title: "shop → production · #9 · rollback · 4f2a91c stop · rollback · accept", Status: "live, watching it",
		Steps: []deploy.Mark{{Label: "switch to green", State: "done"}, {Label: "back: drain blue", State: "todo"}, {Label: "prune", State: "todo"}},
		Lines: []string{"took 3s", "build output nobody wrote"}, Log: "took 3s",
	}
	got := phrase.Chinese().Message(en)
	if got.Title != "shop → production · #9 · 回滚 · 4f2a91c stop · rollback · accept" || got.Status != "已上线，观察中" {
		t.Errorf("title %q, status %q", got.Title, got.Status)
	}
	if got.Steps[0].Label != "切换到绿槽位" || got.Steps[0].State != "done" || got.Steps[1].Label != "退回：排空蓝槽位" || got.Steps[2].Label != "清除旧版本" {
		t.Errorf("steps %+v", got.Steps)
	}
	if got.Lines[0] != "用时 3s" || got.Lines[1] != en.Lines[1] || got.Log != en.Log || got.Channel != en.Channel || got.Ref != en.Ref {
		t.Errorf("message %+v", got)
	}
	if en.Lines[0] != "took 3s" || en.Steps[0].Label != "switch to green" {
		t.Errorf("the English message changed: %+v", en)
	}
}

func TestATitleNamesTheHostsOfAVerb(t *testing.T) {
	for en, want := range map[string]string{
		"shop → production · #9 · offline web-3, web-4":              "shop → production · #9 · 下线 web-3, web-4",
		"shop → production · #9 · restart web-3, web-4, and 12 more": "shop → production · #9 · 重启 web-3, web-4，另有 12 台",
		"shop → production · #9 · drill":                             "shop → production · #9 · 演练",
		"shop → production · #9 · 4f2a91c offline web-3":             "shop → production · #9 · 4f2a91c offline web-3",
	} {
		if got := phrase.Chinese().Message(deploy.Message{Title: en}).Title; got != want {
			t.Errorf("%q became %q, want %q", en, got, want)
		}
	}
}

func TestATitleThatIsTheWordOfACommandStays(t *testing.T) {
	en := deploy.Message{Title: "shop → production · #9 · 4f2a91c rollback"}
	if got := phrase.Chinese().Message(en); got.Title != en.Title || got.Lines != nil || got.Steps != nil {
		t.Errorf("got %+v", got)
	}
}

func TestACatalogueThatIsNotInOrderIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"an argument too many":     "took %s\n= 用时 %1 %2\n",
		"an argument too few":      "took %s\n= 用时\n",
		"an argument twice":        "took %s\n= 用时 %1 %1\n",
		"no translation":           "took %s\n",
		"two formats":              "took %s\ntook\n= 用时\n",
		"a translation of nothing": "= 用时\n",
		"no such section":          "[nonsense]\ntook %s\n= 用时 %1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := phrase.ReadText(text); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

// A format that another one shadows, or whose kinds no filling fits, would never
// be translated.
func TestEveryFormatIsRecognisedWhenItIsFilled(t *testing.T) {
	zh := phrase.Chinese()
	verb := regexp.MustCompile(`%([*@#~>^&$!]?)(\d+)`)
	adjoining := regexp.MustCompile(`%[a-z]%[a-z]`)
	for _, p := range catalogue(t) {
		if p.Section != "texts" || adjoining.MatchString(p.Format) {
			continue // what adjoins is told apart by what it is: see the examples
		}
		kinds := map[string]string{}
		for _, m := range verb.FindAllStringSubmatch(p.Said, -1) {
			kinds[m[2]] = m[1]
		}
		n := 0
		said := map[string]string{}
		line := anyVerb.ReplaceAllStringFunc(p.Format, func(v string) string {
			if v == "%%" {
				return "%"
			}
			n++
			en, in := sample(v[len(v)-1], kinds[strconv.Itoa(n)], n)
			said[strconv.Itoa(n)] = in
			return en
		})
		want := strings.ReplaceAll(verb.ReplaceAllStringFunc(p.Said, func(v string) string { return said[verb.FindStringSubmatch(v)[2]] }), "%%", "%")
		if got := zh.Line(line); got != want {
			t.Errorf("%s: %q\n   got %q\n  want %q", p.At, line, got, want)
		}
	}
}

// sample is an argument of a kind, and how it is said in Chinese.
func sample(letter byte, kind string, n int) (en, zh string) {
	switch {
	case letter == 'd':
		return strconv.Itoa(n), strconv.Itoa(n)
	case letter == 'q':
		return fmt.Sprintf("%q", fmt.Sprint("q", n)), fmt.Sprintf("%q", fmt.Sprint("q", n))
	case letter == 'o':
		return "0" + strconv.Itoa(n%8), "0" + strconv.Itoa(n%8)
	}
	switch kind {
	case "#":
		return fmt.Sprint("#", n), fmt.Sprint("#", n)
	case "^":
		return "green", "绿"
	case "&":
		return "run", "执行"
	case "$":
		return "failed", "失败"
	case "~":
		return "auto_revert is off", "未开启 auto_revert"
	}
	return fmt.Sprint("x", n), fmt.Sprint("x", n)
}
