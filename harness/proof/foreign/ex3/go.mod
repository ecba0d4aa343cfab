module ex3

go 1.19
