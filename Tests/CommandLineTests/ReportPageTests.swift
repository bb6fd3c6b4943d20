import Foundation
import Testing

/// `compare --html` and `capacity --html`.
@Suite("Comparisons and plans as pages")
struct ReportPageTests {
  private static let verbs = [
    ["compare", Tool.smallRecording, Tool.recording],
    ["compare", Tool.recording, "--profile", "auto", "--profile", "6.14"],
    ["capacity", Tool.recording, "--vms", "100", "--memory", "4GiB"],
  ]

  /// A directory that is there until the end of a test.
  private final class Folder {
    let path = FileManager.default.temporaryDirectory.appending(path: "pages-\(UUID().uuidString)").path()
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  @Test(
    "The page is a file beside the text, which stays as it is; with - it is all there is on standard output",
    arguments: verbs)
  func places(arguments: [String]) throws {
    let folder = try Folder()
    let file = folder.path + "/page.html"
    let without = try Tool.run(arguments)
    let with = try Tool.run(arguments + ["--html", file])
    #expect(with.status == without.status && with.output == without.output && with.errors == without.errors)
    let page = try String(contentsOfFile: file, encoding: .utf8)
    #expect(page.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">") && page.hasSuffix("</html>\n"))
    #expect(page.contains("<figure class=\"chart\"") && page.utf8.count < 5_000_000)
    let stream = try Tool.run(arguments + ["--html", "-"])
    #expect(stream.status == without.status && stream.output == page && stream.errors == without.errors)
    let quiet = try Tool.run(arguments + ["--html", file, "-q"])
    #expect(quiet.status == without.status && quiet.output.isEmpty && quiet.errors.isEmpty)
  }

  @Test("The page of a comparison says what the kernels differ in, and which thresholds are exceeded")
  func comparison() throws {
    let outcome = try Tool.run([
      "compare", Tool.recording, "--profile", "auto", "--profile", "6.14", "--html", "-", "--fail-if",
      "mappingTreeBytes.peak>+5%", "--fail-if", "vms>0",
    ])
    #expect(outcome.status == 1 && outcome.errors.contains("exceeded: mappingTreeBytes.peak>+5%"))
    let page = outcome.output
    #expect(page.contains("1 of 2 thresholds is exceeded."))
    #expect(page.contains("<th scope=\"row\" class=\"t\">era</th>"))
    #expect(page.contains("pkvm-nvhe-7.3.4-page-table-thp.dat"))
  }

  @Test("Two outputs do not share standard output", arguments: verbs)
  func oneStream(arguments: [String]) throws {
    let outcome = try Tool.run(arguments + ["--html", "-", "--json", "-"])
    #expect(outcome.status == 64 && outcome.output.isEmpty)
    #expect(
      outcome.errors.contains("--json and --html cannot both go to standard output"), "\(outcome.errors)")
  }

  @Test("A page takes the place of no recording, and of nothing when it cannot be written", arguments: verbs)
  func safety(arguments: [String]) throws {
    let folder = try Folder()
    let own = folder.path + "/own.dat"
    let content = try Data(contentsOf: URL(filePath: Tool.smallRecording))
    try content.write(to: URL(filePath: own))
    #expect(try Tool.run(arguments + ["--html", arguments[1]]).status == 64)
    #expect(try Tool.run(arguments + ["--html", own]).status == 64)
    #expect(try Data(contentsOf: URL(filePath: own)) == content)
    #expect(try Tool.run(arguments + ["--html", "/dev/full"]).status == 74)
    #expect(try Tool.run(arguments + ["--html", ""]).status == 64)
  }
}
