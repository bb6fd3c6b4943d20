import ArgumentParser
import Glibc
import Reporting
import Stage2Model
import Stage2Replay

/// A profile on the command line: auto, the name of a kernel, or a JSON file.
struct ProfileArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  /// The names take milliseconds to tell apart, so only who completes asks for them.
  static var defaultCompletionKind: CompletionKind {
    .custom { _, _, _ in ["auto", "pkvm", "traditional"] + NamedKernel.listed.map(\.name) }
  }

  /// What is asked for, or one line about why that is nothing.
  func request() throws -> ProfileRequest {
    var request = ProfileRequest()
    switch text {
    case "auto": return request
    case "pkvm", "traditional":
      request.path = Profile.Path(rawValue: text)
      return request
    default: break
    }
    // A file may be called like a release with an odd suffix, not like one of those that profiles lists.
    if let kernel = NamedKernel(text),
      access(text, F_OK) != 0 || KernelRelease.known.contains(where: { text.hasPrefix($0.name) })
    {
      request.kernel = kernel
      return request
    }
    let json = try SideFile.text(
      at: text,
      else: "neither a kernel's name, such as 7.3 or 7.3-pkvm, nor a file; "
        + (NamedKernel.meant(by: text).map { "did you mean \($0)?" } ?? "profiles lists the names"))
    do {
      return try ProfileFile.request(json: json)
    } catch {
      throw SideFile.failure(text, json, field: error.field, error.description)
    }
  }

  /// The profile on `machine`, where no trace is replayed under it; or one line about why there is none.
  func resolve(on machine: Profile? = nil) throws -> Profile {
    let request = try request()
    do {
      return try request.profile(on: machine)
    } catch {
      throw Diagnostics.failure("\(text): \(error.description)", .usage)
    }
  }
}
