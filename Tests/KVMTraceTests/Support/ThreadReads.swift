import Foundation
import Testing

/// What a thread has read from files.
enum ThreadReads {
  /// How many bytes system calls have given to the calling thread so far, from whatever file and cache they came.
  static func now() throws -> Int {
    let counters = try String(contentsOfFile: "/proc/thread-self/io", encoding: .utf8)
    let line = try #require(counters.split(separator: "\n").first { $0.hasPrefix("rchar: ") })
    return try #require(Int(line.dropFirst("rchar: ".count)))
  }
}
