using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Lamina.Verify.Tests;

/// <summary>The comparison with the host's processor as CI runs it: for some seconds, with the vectors that were kept, and with interpreters that are wrong.</summary>
public sealed partial class VerifyTests
{
    private const int Terminate = 15;
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "lamina-verify.dll");

    public static TheoryData<string> Mutations => [.. Mutation.Names];

    // The same cases each time, or others for as long as is wanted.
    private static string[] HowMany(string count) =>
        Environment.GetEnvironmentVariable("LAMINA_VERIFY_SECONDS") is { } seconds ? ["--seconds", seconds] : ["--seed", "1009", "--count", count];

    [Theory]
    [InlineData("interpreter", "64", "1000000")]
    [InlineData("translator", "64", "150000")]
    [InlineData("optimized", "64", "150000")]
    [InlineData("interpreter", "32", "60000")]
    [InlineData("interpreter", "16", "60000")]
    [InlineData("optimized", "32", "20000")]
    [InlineData("optimized", "16", "20000")]
    public async Task RandomInstructionsDoWhatTheHostsProcessorDoes(string subject, string bits, string count)
    {
        (int status, string output) = await Run(["--subject", subject, "--bits", bits, "--failures", "3", .. HowMany(count)]);
        Assert.SkipUnless(status == 0 || MakerIsListed(), $"What processors of this maker do in their own way is not listed yet: {output}");
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("real")]
    [InlineData("v86")]
    public async Task CodeOfRealAndVirtual8086ModeDoesWhatTheManualSays(string mode)
    {
        (int status, string output) = await Run(["--bits", "16", "--mode", mode, "--failures", "3", .. HowMany("300000")]);
        Assert.SkipUnless(status == 0 || MakerIsListed(), $"What processors of this maker do in their own way is not listed yet: {output}");
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    // The translator's second tier looks over the boundaries of instructions, and over jumps.
    [Theory]
    [InlineData("interpreter", "15000", "0")]
    [InlineData("translator", "15000", "0")]
    [InlineData("optimized", "30000", "0")]
    [InlineData("interpreter", "15000", "4")]
    [InlineData("translator", "15000", "4")]
    [InlineData("optimized", "30000", "4")]
    public async Task RandomSequencesDoWhatTheHostsProcessorDoes(string subject, string count, string jumps)
    {
        (int status, string output) = await Run(["--subject", subject, "--sequence", "8", "--jumps", jumps, "--failures", "3", .. HowMany(count)]);
        Assert.SkipUnless(status == 0 || MakerIsListed(), $"What processors of this maker do in their own way is not listed yet: {output}");
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    // As a virtual machine of KVM has it: by hardware, or by a KVM that has programs run as they are.
    [Theory]
    [InlineData("interpreter", "0")]
    [InlineData("optimized", "8")]
    public async Task RandomInstructionsDoWhatTheHostsProcessorDoesUnderKvm(string subject, string sequence)
    {
        SkipUnlessKvm();
        string[] sequences = sequence == "0" ? [] : ["--sequence", sequence];
        (int status, string output) = await Run(["--oracle", "kvm", "--subject", subject, "--failures", "3", .. sequences, .. HowMany("40000")]);
        Assert.SkipUnless(status == 0 || MakerIsListed(), $"What processors of this maker do in their own way is not listed yet: {output}");
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("adc-auxiliary")]
    [InlineData("page-fault-code")]
    [InlineData("restored-upper-half")]
    [InlineData("carry-over-boundary")]
    public async Task AWrongInterpreterIsFoundUnderKvm(string mutation)
    {
        SkipUnlessKvm();
        (int status, string output) = await Run("--oracle", "kvm", "--mutate", mutation, "--seed", "7", "--count", "300000", "--failures", "1");
        Assert.True(status == 1 && output.Contains("code ", StringComparison.Ordinal), $"{mutation} was not found: {output}");
    }

    private static void SkipUnlessKvm()
    {
        try
        {
            using FileStream device = new("/dev/kvm", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Assert.Skip($"There is no KVM here: {e.Message}");
        }
    }

    [Theory]
    [MemberData(nameof(Mutations))]
    public async Task AWrongInterpreterIsFound(string mutation)
    {
        (int status, string output) = await Run("--mutate", mutation, "--seed", "7", "--count", "3000000", "--failures", "1");
        Assert.True(status == 1 && output.Contains("code ", StringComparison.Ordinal), $"{mutation} was not found: {output}");
    }

    [Fact]
    public async Task VectorsThatWereKeptAreTheSame()
    {
        string[] files = Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Vectors"), "*.txt");
        Assert.NotEmpty(files);
        foreach (string subject in Enum.GetNames<Subject>())
        {
            (int status, string output) = await Run(["--subject", subject, .. files]);
            Assert.True(status == 0, $"{subject}: {output}");
        }
    }

    [Theory]
    [InlineData("neg-sign")]
    [InlineData("bound-range")]
    [InlineData("accessed-bit")]
    [InlineData("carry-over-boundary")]
    [InlineData("loop-round")]
    public async Task AVectorShowsWhatAMutationDoes(string mutation)
    {
        string directory = Directory.CreateTempSubdirectory("lamina-verify").FullName;
        try
        {
            await Run("--mutate", mutation, "--seed", "1", "--count", "3000000", "--failures", "1", "--vectors", directory);
            string file = Assert.Single(Directory.GetFiles(directory));
            (int wrong, string output) = await Run("--mutate", mutation, file);
            Assert.True(wrong == 1, output);
            (int right, output) = await Run(file);
            Assert.True(right == 0, output);

            // Nothing but what it takes: registers of the operands.
            Assert.InRange(File.ReadAllLines(file).Count(static l => l.StartsWith("register", StringComparison.Ordinal)), 0, 2);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    // The process that compares is another one; a terminal tells both, everybody else the one that they know. SIGINT may be ignored where tests run.
    [Fact]
    public async Task ASignalEndsItWithTheSummary()
    {
        string directory = Directory.CreateTempSubdirectory("lamina-verify").FullName;
        try
        {
            string table = Path.Combine(directory, "coverage.md");
            using Process process = Start("--seconds", "60", "--seed", "3", "--coverage", table);
            Assert.Equal("seed 3", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
            Assert.Equal(0, Kill(process.Id, Terminate));
            string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(process.ExitCode == 0, output);
            Assert.Contains("stopped by a signal", output, StringComparison.Ordinal);
            Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
            Assert.True(File.Exists(table), output);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task TablesOfCoverageAreAdded()
    {
        string directory = Directory.CreateTempSubdirectory("lamina-verify").FullName;
        try
        {
            string[] tables = ["1.md", "2.md", "both.md"];
            tables = [.. tables.Select(t => Path.Combine(directory, t))];
            await Run("--seed", "1", "--count", "6000", "--coverage", tables[0]);
            await Run("--seed", "2", "--count", "4000", "--bits", "32", "--coverage", tables[1]);
            (int status, string output) = await Run("--merge", tables[2], tables[0], tables[1]);
            Assert.True(status == 0, output);
            CoverageTable first = new();
            first.Add(File.ReadAllText(tables[0]));
            CoverageTable both = new();
            both.Add(File.ReadAllText(tables[2]));
            CoverageTable second = new();
            second.Add(File.ReadAllText(tables[1]));
            Assert.InRange(first.Cases, 5000, 6000);
            Assert.Equal(first.Cases + second.Cases, both.Cases);
            Assert.Contains($"2 tables, {both.Cases} cases", output, StringComparison.Ordinal);

            // DAA is only in the second, a VEX instruction in both.
            Assert.Contains("\n| 27 | daa | 1 |", both.ToString(), StringComparison.Ordinal);
            Assert.Contains("\n| VEX 0F 58 | vaddpd, vaddps, vaddsd, vaddss | 6 |", both.ToString(), StringComparison.Ordinal);
            (status, output) = await Run("--merge", tables[2], Path.Combine(AppContext.BaseDirectory, "Vectors", "bound-16.txt"));
            Assert.True(status == 2 && output.Contains("no table", StringComparison.Ordinal), output);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task WrongOptionsAreNamed()
    {
        (int status, string output) = await Run("--nothing", "1");
        Assert.Equal(2, status);
        Assert.Contains("--nothing", output, StringComparison.Ordinal);
        (status, output) = await Run("--bits", "8");
        Assert.Equal(2, status);
        Assert.Contains("'8'", output, StringComparison.Ordinal);
        (status, output) = await Run("--sequence", "9");
        Assert.Equal(2, status);
        Assert.Contains("'9'", output, StringComparison.Ordinal);
        (status, output) = await Run("--mode", "real");
        Assert.Equal(2, status);
        Assert.Contains("--bits 16", output, StringComparison.Ordinal);
        (status, output) = await Run("--jumps", "2");
        Assert.Equal(2, status);
        Assert.Contains("--sequence", output, StringComparison.Ordinal);
        (status, output) = await Run("--sequence", "8", "--jumps", "5");
        Assert.Equal(2, status);
        Assert.Contains("'5'", output, StringComparison.Ordinal);
        (status, output) = await Run("--oracle", "delphi");
        Assert.Equal(2, status);
        Assert.Contains("'delphi'", output, StringComparison.Ordinal);
        (status, output) = await Run("--oracle", "kvm", "--bits", "16");
        Assert.Equal(2, status);
        Assert.Contains("64-bit", output, StringComparison.Ordinal);
        (status, output) = await Run("--sequence", "4", "--bits", "32");
        Assert.Equal(2, status);
        Assert.Contains("64-bit", output, StringComparison.Ordinal);
    }

    private static bool MakerIsListed() => X86Base.CpuId(0, 0) is { Ebx: 0x6874_7541, Edx: 0x6974_6e65, Ecx: 0x444d_4163 };

    private static Process Start(params string[] arguments) =>
        Process.Start(new ProcessStartInfo("dotnet", ["exec", Program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    private static async Task<(int Status, string Output)> Run(params string[] arguments)
    {
        using Process process = Start(arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output + await errors);
    }
}
