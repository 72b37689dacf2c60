// Package gittest makes real git repositories for tests, without the git
// program and without a work tree: commits are written as objects.
//
// The one idea: a commit is the whole list of its files. What is made is
// deterministic: the same calls give the same hashes.
package gittest
