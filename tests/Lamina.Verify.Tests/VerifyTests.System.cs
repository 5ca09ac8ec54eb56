using System.Collections.Concurrent;
using Lamina.Verify.Privileged;

namespace Lamina.Verify.Tests;

/// <summary>Privileged cases, whose model is that of the manuals' pseudo-code.</summary>
public sealed partial class VerifyTests
{
    public static TheoryData<string> SystemMutations => [.. SystemMutation.Names];

    [Theory]
    [InlineData("interpreter", "system", "300000")]
    [InlineData("interpreter", "system-v86", "40000")]
    [InlineData("translator", "system-long", "60000")]
    [InlineData("optimized", "system-long", "60000")]
    [InlineData("optimized", "system-compatibility", "20000")]
    public async Task SystemInstructionsDoWhatTheManualsSay(string subject, string mode, string count)
    {
        (int status, string output) = await Run(["--subject", subject, "--mode", mode, "--failures", "3", .. HowMany(count)]);
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    // Between accesses: changes of translations, protection, code and privilege levels.
    [Theory]
    [InlineData("interpreter", "system", "4000")]
    [InlineData("translator", "system-long", "4000")]
    [InlineData("optimized", "system-long", "4000")]
    public async Task SystemProgramsDoWhatTheManualsSay(string subject, string mode, string count)
    {
        (int status, string output) = await Run(["--subject", subject, "--mode", mode, "--sequence", "32", "--failures", "3", .. HowMany(count)]);
        Assert.True(status == 0, output);
        Assert.Contains(" 0 differences", output, StringComparison.Ordinal);
    }

    // Each under one of those that execute programs, two at a time.
    [Fact]
    public async Task SoftwareCpusThatKeepWhatTheyAreToDropAreFound()
    {
        string[] subjects = Enum.GetNames<Subject>();
        ConcurrentQueue<string> missed = [];
        await Parallel.ForEachAsync(
            ProgramMutation.Names.Index(),
            new ParallelOptions { MaxDegreeOfParallelism = 2, CancellationToken = TestContext.Current.CancellationToken },
            async (mutation, _) =>
            {
                (int status, string output) = await Run("--mutate", mutation.Item, "--subject", subjects[mutation.Index % subjects.Length], "--seed", "7", "--count", "200000", "--failures", "1");
                if (status != 1 || !output.Contains("\nmachine", StringComparison.Ordinal))
                {
                    missed.Enqueue($"{mutation.Item} was not found: {output}");
                }
            });
        Assert.Empty(missed);
    }

    [Theory]
    [MemberData(nameof(SystemMutations))]
    public async Task ASoftwareCpuThatIsWrongInPrivilegedMattersIsFound(string mutation)
    {
        (int status, string output) = await Run("--mutate", mutation, "--seed", "7", "--count", "2000000", "--failures", "1");
        Assert.True(status == 1 && output.Contains("\nmachine", StringComparison.Ordinal), $"{mutation} was not found: {output}");
    }

    [Theory]
    [InlineData("system-accessed-bit")]
    [InlineData("system-error-code")]
    [InlineData("system-stack-slot")]
    [InlineData("system-saved-task")]
    [InlineData("system-stale-page")]
    public async Task AMachineShowsWhatAMutationDoes(string mutation)
    {
        string directory = Directory.CreateTempSubdirectory("lamina-verify").FullName;
        try
        {
            await Run("--mutate", mutation, "--seed", "1", "--count", "2000000", "--failures", "1", "--vectors", directory);
            string file = Assert.Single(Directory.GetFiles(directory));
            (int wrong, string output) = await Run("--mutate", mutation, file);
            Assert.True(wrong == 1, output);
            (int right, output) = await Run(file);
            Assert.True(right == 0, output);

            // Most of the 2048 lines of memory that a machine may have are of no account.
            Assert.InRange(File.ReadAllLines(file).Count(static l => l.StartsWith("memory", StringComparison.Ordinal)), 1, 64);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Theory]
    [InlineData("system-real", "--bits", "64")]
    [InlineData("system", "--bits", "32")]
    [InlineData("system", "--jumps", "4")]
    [InlineData("system-v86", "--sequence", "4")]
    public async Task OptionsThatPrivilegedCasesHaveNotAreNamed(string mode, string option, string value)
    {
        (int status, string output) = await Run("--mode", mode, option, value);
        Assert.Equal(2, status);
        Assert.Contains(mode, output, StringComparison.Ordinal);
    }
}
