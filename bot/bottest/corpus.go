package bottest

import "strings"

// HostileTexts are texts that somebody may put into a commit's message, a
// branch's or an author's name to make a chat ping everybody, show a foreign
// link or picture, run something, or look like another message.
func HostileTexts() []string {
	return []string{
		"<!channel> urgent", "<!here|here>", "<!everyone>", "<!subteam^S012AB3CD>", "<@U024BE7LH>", "<#C0DEPLOYS|deploys>",
		"<https://evil.example/x|click here>", "<mailto:a@evil.example|mail>", "https://evil.example/login", "see http://evil.example now",
		"www.evil.example", "ftp://evil.example/x", "javascript:alert(1)", "dtmd://dingtalkclient/sendMessage?content=approve",
		"&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;", "&#60;!channel&#62;", "&#91;x&#93;(https://evil.example)",
		"[click here](https://evil.example/x)", "![picture](https://evil.example/x.png)", "[a]: https://evil.example", "[a][b]", "[https://evil.example]",
		"\\[x\\](https://evil.example)", "[x] (https://evil.example)", "<https://evil.example>",
		"@all", "@所有人", "@13800000000", "@channel @here @everyone",
		"<script>alert(1)</script>", `<img src=x onerror=alert(1)>`, `<a href="https://evil.example">x</a>`, `<font color="#ff0000">succeeded</font>`,
		"```\nnot code\n```", "`code`", "*bold* _it_ ~gone~", "> quote", "# heading", "- list\n- list", "1. list", "| a | b |\n|--|--|", "---",
		"line one\nline two\r\nline three", "\x1b]52;c;aGk=\x07", "\x1b[2J\x00\x08", "abc\u202egnp.exe", "\u2066<!channel>\u2069", "\u200b<\u200b!channel>",
		"--upload-pack=touch${IFS}x", "-oProxyCommand=id", "$(id)", "`id`", "a;id", "a|id", "a&id", `"'`, "%0d%0aX", "a{b,c}", "../../etc/passwd",
		"HEAD", "refs/heads/main", strings.Repeat("长", 300), strings.Repeat("<", 5000), strings.Repeat("&", 5000), strings.Repeat("a ", 20000),
		strings.Repeat("😀", 4000), "\xff\xfe\xfd", "null", "{}", `{"text":"x"}`,
	}
}

// HostileRefs are branch names that git accepts and that must arrive as data,
// unchanged.
func HostileRefs() []string {
	return []string{
		"--upload-pack=touch${IFS}x", "-oProxyCommand=id", "$(id)", "`id`", "a;id", "a|id", "a&id", `a"b`, "a'b", "<!channel>",
		"<script>alert(1)</script>", "@all", "%0d%0aX", "a{b,c}", "abc\u202ecba", "HEAD", "refs/heads/main", strings.Repeat("x", 300),
		"release/2026.11", "功能/购物车",
	}
}
