// Package e2e runs the real program, a sender's mount and a receiver's files, against real writers and every kind of misfortune.
package e2e
