"""`terraform test`: files of runs, each a plan or an apply of the module under test, with assertions about what came of it.

`reading` turns files into the values of `model`; `mocking` stands in for providers; `inputs` finds the variables of a
run; `runs` executes one; `suite` plays files in order and tears down what they left.
"""
