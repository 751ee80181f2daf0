// The program that holds a pod's namespaces open. It imports nothing but the standard library.
module presage.dev/sandbox/pause

go 1.24
