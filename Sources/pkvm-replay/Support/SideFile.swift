import Foundation
import Glibc
import Reporting

/// A JSON file that a person gives besides the traces: a profile, costs or memslots. What is wrong with one is told in the
/// same way for all of them: file and line, status 65; 66 where there is none.
enum SideFile {
  /// The text of the file at `path`.
  ///
  /// - Parameter missing: what to say where there is no such file.
  static func text(at path: String, else missing: String = "No such file") throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let isMissing = errno == ENOENT || errno == ENOTDIR
      throw Diagnostics.failure(
        "\(path): \(isMissing ? missing : String(cString: strerror(errno)))",
        isMissing ? .noInput : .inputOutput)
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw Diagnostics.failure("\(path): is a directory, a JSON file is needed", .notATrace)
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostics.failure("\(path): cannot be read: \(String(cString: strerror(errno)))", .inputOutput)
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// One line about what is wrong with the file at `path`, at the value at `field` where that is known.
  static func failure(_ path: String, _ text: String, field: String?, _ problem: String) -> any Error {
    let place = field.map { "line \(JSONLines.line(of: $0, in: text)): " } ?? ""
    return Diagnostics.failure("\(path): \(place)\(problem)", .notATrace)
  }
}
