import ArgumentParser
import ForeignStage2
import Glibc
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay

/// Both sides of `patch`, built and tested once for each page size of a host.
struct PatchSides {
  private let arguments: [SideArgument]
  private let inProcess: Bool
  private let testsFirst: Bool
  private var resolved: [PageSize: [SideArgument.Resolved]] = [:]
  /// What came of the self-tests, nil for a side that was not tested.
  private(set) var selfTests: [String?] = [nil, nil]

  init(before: SideArgument, after: SideArgument, inProcess: Bool, testsFirst: Bool) {
    arguments = [before, after]
    self.inProcess = inProcess
    self.testsFirst = testsFirst
  }

  /// The kernel that a recording is of, and who follows in its replay.
  mutating func choices(
    for trace: TraceFile, _ request: ProfileRequest
  ) throws -> (traced: ReplayProfile, choices: [FollowerChoice]) {
    let traced = try Self.profiles(trace, request, [])[0]
    let sides = try sides(traced.pageSize)
    var choices: [FollowerChoice] = []
    for side in sides {
      switch side {
      case .library(let library):
        do {
          try library.check(ForeignShape(traced.profile, isProtected: false))
        } catch {
          throw Diagnostics.failure(error)
        }
        choices.append(inProcess ? .local(library) : .child(library, program: OtherProgram.own))
      case .profile(let other):
        let profile = try Self.profiles(trace, request, [other])[1].profile
        guard profile.isPKVM == traced.isPKVM else {
          throw ValidationError(
            "--before \(arguments[0].text): has another MMU than the kernel that \(trace.path) is of")
        }
        choices.append(.model(profile))
      }
    }
    return (traced, choices)
  }

  private static func profiles(
    _ trace: TraceFile, _ request: ProfileRequest, _ others: [ProfileRequest]
  ) throws -> [ReplayProfile] {
    do {
      let found = try Replay.profiles(of: trace, traced: request, others: others)
      return [found.traced] + found.others
    } catch {
      throw Replays.failure(trace, error)
    }
  }

  private mutating func sides(_ pageSize: PageSize) throws -> [SideArgument.Resolved] {
    if let sides = resolved[pageSize] { return sides }
    let sides = try arguments.map { try $0.resolve(pageSize) }
    if case .profile = sides[1] {
      throw ValidationError(
        "--after \(arguments[1].text): is neither a kernel tree nor a shared object; compare holds one model against another"
      )
    }
    if testsFirst, case .library(let library) = sides[0] {
      selfTests[0] = try SelfTest(library: library).run()
    }
    resolved[pageSize] = sides
    return sides
  }
}

extension Replays {
  /// Replays a trace by the model of its kernel, `traced`, which leads those who follow.
  static func run(
    _ trace: TraceFile, profile request: ProfileRequest, of traced: ReplayProfile, options: ReplayOptions,
    led conductor: CallConductor
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    Phases.begin("replay of \(trace.path)")
    return try explaining(trace) {
      traced.isPKVM
        ? try Replay.run(trace, profile: request, options: options) { vm in
          LedStage2(vm.makePKVM(), vm.foreignShape, conductor)
        }
        : try Replay.run(trace, profile: request, options: options) { vm in
          LedStage2(vm.makeTraditional(), vm.foreignShape, conductor)
        }
    }
  }
}

extension VMToModel {
  /// What a foreign backend is told of the VM.
  var foreignShape: ForeignShape { ForeignShape(profile.profile, isProtected: isProtected) }
}

/// The files that show lost VMs once more. None takes the place of a file that is there.
struct ReproducerFiles {
  private let directory: String
  private var number = 0

  init(directory: String) { self.directory = directory }

  /// Writes the calls of a VM.
  ///
  /// - Returns: the file; nil where none could be written, which is told.
  mutating func write(_ lost: LostVM, of recording: String, _ side: SideFindings) -> String? {
    let word = lost.side == 0 ? "before" : "after"
    let text = Reproducer.text(
      lost.calls,
      about: [
        "\(word): \(side.name) \(side.path ?? "")", "\(lost.reason.words) in the last call",
        "\(recording): \(lost.call.words); \(lost.call.causeWords)",
      ])
    mkdir(directory, 0o755)
    while number < 1000 {
      let path = "\(directory)/patch-\(word)-\(number).calls"
      number += 1
      let descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o644)
      if descriptor < 0, errno == EEXIST { continue }
      guard descriptor >= 0 else { break }
      close(descriptor)
      do {
        try Output.write(text, to: .stream(path))
        return path
      } catch {
        return nil
      }
    }
    Diagnostics.error("\(directory): no file can be written there, so the calls of a lost VM are not kept")
    return nil
  }
}
