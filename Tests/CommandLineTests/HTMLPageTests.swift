import Foundation
import Testing

/// `replay --html`.
@Suite("The report as a page")
struct HTMLPageTests {
  private static func folder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appending(path: "page-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }

  @Test(
    "The page is a file beside the text, which stays as it is; with - it is all there is on standard output")
  func places() throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "report.html")
    let without = try Tool.run(["replay", Tool.smallRecording])
    let with = try Tool.run([
      "replay", Tool.smallRecording, "--html", file.path(), "--ops", folder.path() + "ops",
    ])
    #expect(with.status == without.status && with.output == without.output && with.errors == without.errors)
    let page = try String(contentsOf: file, encoding: .utf8)
    #expect(page.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">") && page.hasSuffix("</html>\n"))
    #expect(page.contains("kvm-nvhe-7.2.12-page-table-thp.dat"))
    let stream = try Tool.run(["replay", Tool.smallRecording, "--html", "-", "--no-series"])
    #expect(stream.status == without.status && stream.output == page)
    let operations = try String(contentsOfFile: folder.path() + "ops", encoding: .utf8)
    #expect(operations == (try Tool.run(["replay", Tool.smallRecording, "--ops", "-"]).output))
  }

  @Test("The JSON report is the same with a page and without one")
  func beside() throws {
    let with = try Tool.run(["replay", Tool.recording, "--json", "-", "--html", "/dev/null", "--no-series"])
    let without = try Tool.run(["replay", Tool.recording, "--json", "-", "--no-series"])
    #expect(with.status == 0 && with.output == without.output)
  }

  @Test("Several recordings are one page, each with an article of its own; --vm chooses")
  func several() throws {
    let page = try Tool.run(["replay", Tool.smallRecording, Tool.recording, "--html", "-"]).output
    #expect(page.matches(of: /<article id="r[01]"/).count == 2 && page.contains("id=\"all\""))
    let twins = Tool.root.appendingPathComponent("traces/kvm-nvhe-7.3.4-twin-guests.dat").path
    let all = try Tool.run(["replay", twins, "--html", "-"]).output
    let one = try Tool.run(["replay", twins, "--html", "-", "--vm", "1"]).output
    func vms(_ page: String) -> Set<String> {
      Set(page.matches(of: /<section id="(r0-vm\d+)"/).map { String($0.1) })
    }
    #expect(vms(all) == ["r0-vm0", "r0-vm1"] && vms(one) == ["r0-vm1"])
    #expect(one.contains("<figure class=\"plot\" id=\"r0-vm1-heat\""))
  }

  @Test(
    "Two outputs do not share standard output",
    arguments: [
      ["--html", "-", "--json", "-"], ["--html", "-", "--ops", "-"],
      ["--html", "/dev/stdout", "--json", "-"],
      ["--html", "-", "--ops", "/dev/fd/1"], ["--perfetto", "/dev/stdout", "--json", "/proc/self/fd/1"],
    ])
  func oneStream(arguments: [String]) throws {
    let outcome = try Tool.run(["replay", Tool.smallRecording] + arguments)
    #expect(
      outcome.status == 64 && outcome.output.isEmpty
        && outcome.errors.contains("cannot both go to standard output"))
  }

  @Test("Nor do two that name it, or one and the text, where it is a pipe or a file")
  func named() throws {
    for stream in ["| cat", "> \"$(mktemp)\""] {
      let two = try Tool.shell("$tool replay $1 --html /dev/stdout --json - \(stream)", [Tool.smallRecording])
      #expect(two.status == 64 && two.errors.contains("cannot both go to standard output"), "\(two.errors)")
    }
    let one = try Tool.shell("$tool replay $1 --json /dev/stdout --no-series | cat", [Tool.smallRecording])
    let plain = try Tool.run(["replay", Tool.smallRecording, "--json", "-", "--no-series"])
    #expect(one.status == 0 && one.output == plain.output)
  }

  @Test("A page takes the place of no recording, and of no page when it cannot be written")
  func safety() throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let own = folder.appending(path: "own.dat")
    let content = try Data(contentsOf: URL(filePath: Tool.smallRecording))
    try content.write(to: own)
    #expect(try Tool.run(["replay", own.path(), "--html", own.path()]).status == 64)
    #expect(try Tool.run(["replay", Tool.smallRecording, "--html", own.path()]).status == 64)
    #expect(try Data(contentsOf: own) == content)
    #expect(try Tool.run(["replay", own.path(), "--html", "/dev/full"]).status == 74)
  }
}
