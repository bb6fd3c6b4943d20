public import ArgumentParser
public import Reporting

extension EventPrinter.Format: ExpressibleByArgument {}
