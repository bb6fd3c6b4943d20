import Foundation
import Testing

/// The pages "Report" and "Files" name every field and column that the verbs write.
@Suite("Pages of the files")
struct FilePagesTests {
  /// Objects whose keys are names of the trace or the kernel, and no fields.
  private static let data: Set<String> = [
    "eventCounts", "byLevel", "recording", "profile", "profileBasis", "hypercalls", "faultsWithoutOperation",
    "metrics", "predicted", "drivers", "operations", "parts", "untimed",
  ]

  private static let trace = Tool.recording

  @Test(
    "Every field is on the page",
    arguments: [
      ("Report", ["replay", trace, "--json", "-", "--contention"]),
      ("Report", ["replay", trace, trace, "--json", "-"]), ("Report", ["info", trace, "--json"]),
      ("Files", ["compare", trace, Tool.smallRecording, "--json", "-"]),
      ("Files", ["compare", trace, "--profile", "auto", "--profile", "6.14", "--json", "-"]),
      ("Files", ["capacity", "--vms", "3", "--memory", "1GiB", "--json", "-", trace]),
      ("Files", ["calibrate", "--output", "-", trace]), ("Files", ["rules", "--json"]),
    ])
  func fields(page: String, arguments: [String]) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    var names: Set<String> = []
    Self.collect(object, &names)
    let missing = names.subtracting(try Self.words(page)).sorted()
    #expect(names.count > 10 && missing.isEmpty, "\(page).md lacks \(missing)")
  }

  @Test(
    "Every column is on the page",
    arguments: [
      ["capacity", "--vms", "3", "--memory", "1GiB", "--csv", "-", trace],
      ["capacity", "--vms", "3", "--memory", "1GiB", "--curve", "-", trace],
    ])
  func columns(arguments: [String]) throws {
    let outcome = try Tool.run(arguments)
    let header = try #require(outcome.output.split(separator: "\n").first)
    #expect(try Self.text("Files").contains("\n\(header)\n"))
  }

  @Test("The columns of the series are on the page")
  func series() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "series-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    #expect(try Tool.run(["replay", Self.trace, "--csv", directory.path()]).status == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path())
    #expect(names.count == 5)
    let page = try Self.text("Files")
    for name in names {
      let text = try String(contentsOf: directory.appending(path: name), encoding: .utf8)
      #expect(page.contains("| `\(name)` | `\(text.prefix { $0 != "\n" })` |"), "\(name)")
    }
  }

  private static func text(_ page: String) throws -> String {
    let path = "Sources/Reporting/Reporting.docc/\(page).md"
    return try String(contentsOf: Tool.root.appending(path: path), encoding: .utf8)
  }

  private static func words(_ page: String) throws -> Set<String> {
    Set(try text(page).split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init))
  }

  /// The names of all fields of an object and of what lies in it.
  private static func collect(_ value: Any, isData: Bool = false, _ names: inout Set<String>) {
    if let object = value as? [String: Any] {
      for (name, field) in object {
        if !isData { names.insert(name) }
        collect(field, isData: data.contains(name), &names)
      }
    } else if let list = value as? [Any] {
      for item in list { collect(item, &names) }
    }
  }
}
