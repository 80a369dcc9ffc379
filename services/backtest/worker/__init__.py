"""Workers: a package, since the children of a module that is run import it anew, and those of a
package's ``__main__`` do not: that was most of the time until a run began.
"""
