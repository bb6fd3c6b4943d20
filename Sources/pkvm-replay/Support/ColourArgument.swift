public import ArgumentParser
public import Reporting

extension PageForm.Colour: ExpressibleByArgument {}
