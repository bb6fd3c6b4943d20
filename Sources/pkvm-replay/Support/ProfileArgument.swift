import ArgumentParser
import Reporting
import Stage2Model

/// A profile on the command line: the name of a built-in one, or a JSON file.
struct ProfileArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  /// Whether it names a built-in profile, which says nothing of the machine.
  var isBuiltIn: Bool { Profile.builtIn(named: text) != nil }

  /// The profile, or one line about why there is none.
  func resolve() throws -> Profile {
    if let builtIn = Profile.builtIn(named: text) { return builtIn }
    let json = try SideFile.text(
      at: text, else: "neither a built-in profile nor a file; profiles lists the built-in ones")
    do {
      return try ProfileFile.profile(json: json)
    } catch {
      throw SideFile.failure(text, json, field: error.field, error.description)
    }
  }
}
