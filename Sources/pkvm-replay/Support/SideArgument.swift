import ArgumentParser
import ForeignStage2
import Glibc
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// A side of `patch` on the command line: a kernel tree, a shared object, or the name of a profile.
struct SideArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  static var defaultCompletionKind: CompletionKind { .file() }

  /// What it means.
  private enum Meaning {
    case tree
    case sharedObject
    case profile(ProfileRequest)
  }

  private func meaning() throws -> Meaning {
    var status = stat()
    guard stat(text, &status) == 0 else { return .profile(try ProfileArgument(argument: text)!.request()) }
    if status.st_mode & S_IFMT == S_IFDIR { return .tree }
    if text.hasSuffix(".json") { return .profile(try ProfileArgument(argument: text)!.request()) }
    return .sharedObject
  }

  /// What follows on this side of a replay of a host with such pages.
  enum Resolved {
    case library(BackendLibrary)
    case profile(ProfileRequest)
  }

  /// Builds what has to be built, and loads it.
  func resolve(_ pageSize: PageSize) throws -> Resolved {
    switch try meaning() {
    case .profile(let request): return .profile(request)
    case .sharedObject: return .library(try Self.load(text))
    case .tree: return .library(try Self.load(try KernelBackend.build(text, pageSize)))
    }
  }

  /// Loads a shared object; an error becomes one line and an exit status.
  static func load(_ path: String) throws -> BackendLibrary {
    do {
      return try BackendLibrary(path: path)
    } catch {
      throw Diagnostics.failure(error)
    }
  }
}

extension Diagnostics {
  /// Prints why a shared object cannot be used, and returns the exit status that goes with it.
  static func failure(_ problem: BackendProblem) -> ExitCode {
    error(problem.description)
    return ExitStatus.noBackend
  }

  /// Prints why nobody can follow the calls of an input, and returns the exit status that goes with it.
  static func failure(_ failure: FollowerFailure, of input: String) -> ExitCode {
    error("\(input): \(failure)")
    return failure.isOfSide ? ExitStatus.noBackend : ExitStatus.inputOutput
  }
}

/// Shared objects of the C of a kernel tree.
enum KernelBackend {
  /// The script that builds them, where it may be: beside the program as it is installed, and in a tree of its sources.
  private static var places: [String] {
    var directory = OtherProgram.own.split(separator: "/").dropLast().map(String.init)
    func place(_ rest: [String], in directory: [String]) -> String {
      "/" + (directory + rest).joined(separator: "/")
    }
    var places = [place(["share", "pkvm-replay", "tools", "kernel-backend"], in: directory.dropLast())]
    while !directory.isEmpty {
      places.append(place(["tools", "kernel-backend"], in: directory))
      directory.removeLast()
    }
    return places
  }

  /// The shared object of a tree for such pages.
  static func build(_ tree: String, _ pageSize: PageSize) throws -> String {
    let pages = "\(pageSize.bytes >> 10)k"
    guard let script = places.first(where: { access($0, X_OK) == 0 }) else {
      Diagnostics.error(
        "\(tree): is a kernel tree, and tools/kernel-backend, which builds a backend of it, is neither beside this program nor in a tree "
          + "of its sources; 'tools/kernel-backend \(tree) --pages \(pages)' there prints the file to name here"
      )
      throw ExitStatus.noBackend
    }
    Phases.begin("build of \(tree)")
    guard let outcome = OtherProgram.run([script, tree, "--pages", pages], takesErrors: true) else {
      Diagnostics.error("\(script): cannot be run")
      throw ExitStatus.noBackend
    }
    guard outcome.status == 0, let path = outcome.lastLine else {
      let name = "kernel-backend: "
      let reason = outcome.lastLine.map { $0.hasPrefix(name) ? String($0.dropFirst(name.count)) : $0 }
      Diagnostics.error(
        "\(tree): no backend can be built of it: "
          + (reason ?? "\(script) ended with status \(outcome.status)"))
      throw ExitStatus.noBackend
    }
    return path
  }
}
