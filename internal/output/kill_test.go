package output

const childEnv = "FTFUSE_OUTPUT_CHILD"

func child() int { return 0 }
