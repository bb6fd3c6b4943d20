import Foundation
import PackagePlugin

/// Writes the commit that is built into a source file, for `--version` and the reports.
///
/// The file is made anew when a source or the tip of the branch changes, so it never names a commit that was built before.
/// Sources that differ from the commit are told by "+changes"; a tree without git has no commit.
@main
struct CommitOfBuild: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) -> [Command] {
    let root = context.package.directoryURL
    let output = context.pluginWorkDirectoryURL.appending(path: "CommitOfBuild.swift")
    let sources = context.package.targets.compactMap(\.sourceModule).flatMap { $0.sourceFiles.map(\.url) }
    return [
      .buildCommand(
        displayName: "Commit of the build", executable: URL(filePath: "/bin/sh"),
        arguments: ["-c", Self.script, "sh", root.path(), output.path()],
        inputFiles: sources + [Self.headLog(of: root)].compactMap(\.self), outputFiles: [output])
    ]
  }

  /// The log of HEAD, which grows whenever another commit is checked out.
  private static func headLog(of root: URL) -> URL? {
    let git = Process()
    git.executableURL = URL(filePath: "/usr/bin/env")
    git.arguments = ["git", "rev-parse", "--git-path", "logs/HEAD"]
    git.currentDirectoryURL = root
    let output = Pipe()
    git.standardOutput = output
    git.standardError = FileHandle.nullDevice
    guard (try? git.run()) != nil else { return nil }
    let answer = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    git.waitUntilExit()
    let path = answer.trimmingCharacters(in: .newlines)
    let log = URL(filePath: path, relativeTo: root).absoluteURL
    return !path.isEmpty && FileManager.default.fileExists(atPath: log.path()) ? log : nil
  }

  /// A tree inside another project's repository is of none of that one's commits.
  private static let script = #"""
    cd "$1" && commit=$(git rev-parse HEAD 2>/dev/null)
    [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] || commit=
    [ -z "$commit" ] || [ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit=$commit+changes
    printf '/// The commit that was built, "" where that is not known.\nlet commitOfBuild = "%s"\n' "$commit" > "$2"
    """#
}
