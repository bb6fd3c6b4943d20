import Foundation
import Testing
import UnnamedFiles

/// Profiles, costs and memslots in files: what is wrong with one is told in the same way.
@Suite("Files beside the traces")
struct SideFileTests {
  static let options = ["--profile", "--costs", "--memslots"]

  private func replay(_ option: String, _ path: String) throws -> Tool.Outcome {
    try Tool.run(["replay", Tool.smallRecording, option, path])
  }

  @Test("One that is not there is status 66", arguments: options)
  func missing(option: String) throws {
    let outcome = try replay(option, "/nowhere/file.json")
    #expect(outcome.status == 66 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("/nowhere/file.json"))
  }

  @Test("A directory is none", arguments: options)
  func directory(option: String) throws {
    let outcome = try replay(option, "/tmp")
    #expect(outcome.status == 65 && outcome.errors.contains("is a directory"))
  }

  @Test("One that is no JSON is status 65, with its line", arguments: options)
  func syntax(option: String) throws {
    let file = try UnnamedFile(Array("{\"version\": 1,\n\"x\": 2,,\n}".utf8))
    let outcome = try replay(option, file.path)
    #expect(outcome.status == 65 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("\(file.path): line 2: is not JSON"), "\(outcome.errors)")
  }

  @Test(
    "A wrong value is status 65, with its line and name",
    arguments: [
      ("--profile", "{\"base\": \"7.3-pkvm\",\n\n\"ipaBits\": 99}", "line 3: ipaBits"),
      ("--profile", "{\"base\": \"7.3-pkvm\",\n\"iapBits\": 40}", "line 2: iapBits"),
      ("--profile", "{\n\"base\": \"none\"}", "line 2: starts from \"none\""),
      (
        "--memslots", "{\"version\": 1,\n\"vms\": [{\"slots\": [\n{\"gfn\": 0,\n\"pages\": 0}]}]}",
        "line 4: vms[0].slots[0].pages"
      ),
      ("--memslots", "{\n\"version\": 99}", "line 2: version"),
      (
        "--costs", "{\"schemaVersion\": 1, \"name\": \"x\", \"drivers\": {\n\"hypercall\": {\"ns\": -3}}}",
        "line 2: drivers.hypercall.ns"
      ),
      ("--costs", "{\"schemaVersion\": 1, \"name\": \"x\",\n\"drivers\": 7}", "line 2: drivers"),
    ])
  func value(option: String, text: String, message: String) throws {
    let file = try UnnamedFile(Array(text.utf8))
    let outcome = try replay(option, file.path)
    #expect(outcome.status == 65 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
  }
}
