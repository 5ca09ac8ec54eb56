using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Lamina.Machine.Tests;

/// <summary>Holds the source tree against the rules of ARCHITECTURE.md: which project may lean on which, where unsafe code may be, and what freestanding code may use.</summary>
public sealed partial class ArchitectureTests
{
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Lamina.Machine"] = [],
        ["Lamina.Interop"] = [],
        ["Lamina.SoftCpu"] = ["Lamina.Machine", "Lamina.Interop"],
        ["Lamina.Kvm"] = ["Lamina.Machine", "Lamina.Interop", "Lamina.SoftCpu"],
        ["Lamina.Chipset"] = ["Lamina.Machine"],
        ["Lamina.Virtio"] = ["Lamina.Machine"],
        ["Lamina.Personalities"] = ["Lamina.Machine"],
        ["Lamina.Storage"] = ["Lamina.Machine", "Lamina.Interop"],
        ["Lamina.Networking"] = ["Lamina.Machine", "Lamina.Interop"],
        ["Lamina.Boot"] = ["Lamina.Machine"],
        ["Lamina.Vmm"] =
        [
            "Lamina.Machine", "Lamina.Interop", "Lamina.SoftCpu", "Lamina.Kvm", "Lamina.Chipset", "Lamina.Virtio", "Lamina.Personalities",
            "Lamina.Storage", "Lamina.Networking", "Lamina.Boot",
        ],
        ["Lamina.Management"] = [],
        ["Lamina.Daemon"] = ["Lamina.Management", "Lamina.Vmm"],
        ["Lamina.Cli"] = ["Lamina.Vmm", "Lamina.Management"],
    };

    private static readonly string[] UnsafeProjects = ["Lamina.Interop", "Lamina.SoftCpu", "Lamina.Kvm", "Lamina.Machine"];
    private static readonly string[] FreestandingProjects = ["Lamina.Machine", "Lamina.Chipset", "Lamina.Virtio", "Lamina.Personalities"];
    private static readonly string[] ForbiddenNames = ["Common", "Util", "Utils", "Helper", "Helpers", "Base", "Manager"];

    // In these projects exceptions, the runtime's locks and tasks, queries and the host's time do not exist. ArgumentException and its kin at construction are programmer errors.
    private static readonly (string Pattern, string Reason)[] FreestandingRules =
    [
        (@"\block\s*\(", "take an ILock"),
        (@"\basync\b|\bawait\b|\bTask\b", "no tasks"),
        (@"\bSystem\.Linq\b", "no queries"),
        (@"\bSystem\.(IO|Net|Diagnostics\.Process|Reflection|Collections\.Concurrent)\b", "no such library"),
        (@"\bDateTime(Offset)?\b|\bStopwatch\b|\bThread\.|\bEnvironment\.", "time and threads come through interfaces"),
        (@"\bMonitor\.|\bSemaphoreSlim\b|\bMutex\b|\bnew Lock\b", "take an ILock"),
        (@"\bDllImport\b|\bLibraryImport\b", "no calls to the host"),
        (@"\bcatch\b", "a guest never causes an exception"),
        (@"\bdynamic\b|\btypeof\s*\(|\bActivator\b", "no reflection"),
    ];

    private static string Root([CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "../.."));

    [Fact]
    public void ProjectsLeanOnlyWhereTheyMay()
    {
        List<string> wrong = [];
        foreach (string project in SourceProjects())
        {
            string name = Path.GetFileNameWithoutExtension(project);
            if (!Arrows.TryGetValue(name, out string[]? allowed))
            {
                wrong.Add($"{name} is not in the table of projects");
                continue;
            }

            IEnumerable<string> references = XDocument.Load(project).Descendants("ProjectReference")
                .Where(r => (string?)r.Attribute("OutputItemType") != "Analyzer")
                .Select(r => Path.GetFileNameWithoutExtension(((string)r.Attribute("Include")!).Replace('\\', '/')));
            wrong.AddRange(references.Where(r => !allowed.Contains(r)).Select(r => $"{name} -> {r}"));
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void TheGuestPathHasNoPackages()
    {
        IEnumerable<string> packages = SourceProjects()
            .Where(p => Path.GetFileNameWithoutExtension(p) is not ("Lamina.Cli" or "Lamina.Daemon" or "Lamina.Management"))
            .SelectMany(p => XDocument.Load(p).Descendants("PackageReference").Select(r => $"{Path.GetFileNameWithoutExtension(p)}: {(string?)r.Attribute("Include")}"));
        Assert.Empty(packages);
    }

    [Fact]
    public void UnsafeCodeIsWhereItMayBe()
    {
        IEnumerable<string> wrong = SourceProjects()
            .Where(p => XDocument.Load(p).Descendants("AllowUnsafeBlocks").Any(e => e.Value.Equals("true", StringComparison.OrdinalIgnoreCase)))
            .Select(p => Path.GetFileNameWithoutExtension(p)!)
            .Except(UnsafeProjects);
        Assert.Empty(wrong);

        IEnumerable<string> outsideMemory = SourceFiles("Lamina.Machine")
            .Where(f => !f.Contains("/Memory/", StringComparison.Ordinal) && UnsafeWord().IsMatch(WithoutComments(File.ReadAllText(f))));
        Assert.Empty(outsideMemory);
    }

    [Fact]
    public void NativeImportsAreInInteropOnly()
    {
        IEnumerable<string> wrong = Arrows.Keys
            .Where(n => n is not "Lamina.Interop")
            .SelectMany(SourceFiles)
            .Where(f => Import().IsMatch(WithoutComments(File.ReadAllText(f))));
        Assert.Empty(wrong);
    }

    [Fact]
    public void FreestandingCodeUsesNoRuntimeServices()
    {
        List<string> wrong = [];
        foreach (string file in FreestandingProjects.SelectMany(SourceFiles))
        {
            string[] lines = WithoutComments(File.ReadAllText(file)).Split('\n');
            for (int i = 0; i < lines.Length; i++)
            {
                foreach ((string pattern, string reason) in FreestandingRules)
                {
                    if (Regex.IsMatch(lines[i], pattern))
                    {
                        wrong.Add($"{Path.GetRelativePath(Root(), file)}:{i + 1}: {lines[i].Trim()} ({reason})");
                    }
                }
            }
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void NothingIsNamedAfterNoPurpose()
    {
        IEnumerable<string> wrong = Arrows.Keys
            .SelectMany(SourceFiles)
            .SelectMany(f => Path.GetRelativePath(Root(), f)[..^".cs".Length].Split('/'))
            .Distinct()
            .Where(n => ForbiddenNames.Any(w => n == w || n.EndsWith(w, StringComparison.Ordinal)));
        Assert.Empty(wrong);
    }

    [Theory]
    [InlineData("a /* lock (x) */ b", "a  b")]
    [InlineData("a // async", "a ")]
    [InlineData("\"async // not a comment\" + x", "\"\" + x")]
    public void CommentsAndTextDoNotCount(string source, string expected) => Assert.Equal(expected, WithoutComments(source));

    private static IEnumerable<string> SourceProjects() => Directory.EnumerateFiles(Path.Combine(Root(), "src"), "*.csproj", SearchOption.AllDirectories);

    private static IEnumerable<string> SourceFiles(string project)
    {
        string folder = Path.Combine(Root(), "src", project);
        return Directory.Exists(folder)
            ? Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal) && !f.Contains("/bin/", StringComparison.Ordinal))
            : [];
    }

    // Also empties string literals: their words are no code.
    private static string WithoutComments(string source)
    {
        return CommentOrText().Replace(source, m => m.Value[0] == '"' ? "\"\"" : new string('\n', m.Value.Count(c => c == '\n')));
    }

    [GeneratedRegex("\"(?:\\\\.|[^\"\\\\\n])*\"|//[^\n]*|/\\*.*?\\*/", RegexOptions.Singleline)]
    private static partial Regex CommentOrText();

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex UnsafeWord();

    [GeneratedRegex(@"\[(DllImport|LibraryImport)\b")]
    private static partial Regex Import();
}
