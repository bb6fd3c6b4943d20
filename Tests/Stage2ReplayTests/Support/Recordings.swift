import Foundation
import KVMTrace
import Stage2Replay
import Synchronization

/// The recordings that come with the product.
enum Recordings {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "traces")

  /// The file names of all recordings.
  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []
    return files.filter { $0.hasSuffix(".dat") }.sorted()
  }()

  /// Those that are replayed once more, in another way: one of five, unless all are asked for (`tools/all-recordings`).
  static let sample: [String] = {
    let all = ProcessInfo.processInfo.environment["PKVM_REPLAY_ALL"] != nil
    return names.enumerated().filter { all || $0.offset % 5 == 0 }.map(\.element)
  }()

  static func url(_ name: String) -> URL { folder.appending(path: name) }

  static func trace(_ name: String) throws -> TraceFile { try TraceFile(path: url(name).path()) }

  /// A recording's replay, as a user gets it who gives no option. Many tests look at it, and it is made once.
  static func replay(_ name: String) throws -> (result: ReplayResult, statistics: EventStatistics) {
    guard let known = replays[name] else { return try replay(name, ReplayOptions()) }
    return try known.get()
  }

  /// A recording's replay with options.
  static func replay(
    _ name: String, _ options: ReplayOptions
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    try Replay.run(trace(name), profile: ProfileRequest(), options: options)
  }

  private static let replays = Dictionary(uniqueKeysWithValues: names.map { ($0, KnownReplay($0)) })

  /// A replay that is made when it is first asked for.
  private final class KnownReplay: Sendable {
    private let name: String
    private let found = Mutex<(result: ReplayResult, statistics: EventStatistics)?>(nil)

    init(_ name: String) { self.name = name }

    func get() throws -> (result: ReplayResult, statistics: EventStatistics) {
      try found.withLock { found in
        if let found { return found }
        let made = try Recordings.replay(name, ReplayOptions())
        found = made
        return made
      }
    }
  }
}
