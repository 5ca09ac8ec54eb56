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
    [InlineData("system", "--sequence", "4")]
    public async Task OptionsThatPrivilegedCasesHaveNotAreNamed(string mode, string option, string value)
    {
        (int status, string output) = await Run("--mode", mode, option, value);
        Assert.Equal(2, status);
        Assert.Contains(mode, output, StringComparison.Ordinal);
    }
}
