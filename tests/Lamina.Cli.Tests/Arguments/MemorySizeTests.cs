using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

public sealed class MemorySizeTests
{
    private const ulong HostMemory = 64UL << 30;

    [Theory]
    [InlineData("512M", 512UL << 20)]
    [InlineData("512m", 512UL << 20)]
    [InlineData("512MB", 512UL << 20)]
    [InlineData("512MiB", 512UL << 20)]
    [InlineData("512 MiB", 512UL << 20)]
    [InlineData("1G", 1UL << 30)]
    [InlineData("1.5G", 3UL << 29)]
    [InlineData("2GiB", 2UL << 30)]
    [InlineData("65536K", 64UL << 20)]
    [InlineData("4M", 4UL << 20)]
    public void Accepts_sizes_with_a_unit(string text, ulong bytes)
    {
        Assert.Equal(bytes, MemorySize.ParseMachineMemory(text, HostMemory));
    }

    [Theory]
    [InlineData("", "is not a size")]
    [InlineData("M", "is not a size")]
    [InlineData("lots", "is not a size")]
    [InlineData("-1G", "is not a size")]
    [InlineData("1..5G", "is not a size")]
    [InlineData("1X", "is not a size")]
    [InlineData("1e9", "is not a size")]
    [InlineData("99999999999999999999999G", "is not a size")]
    [InlineData("512", "has no unit. Did you mean '512M'?")]
    [InlineData("1M", "a machine has 4 MiB to 1 TiB")]
    [InlineData("0G", "a machine has 4 MiB to 1 TiB")]
    [InlineData("2T", "a machine has 4 MiB to 1 TiB")]
    [InlineData("18446744073709551615T", "a machine has 4 MiB to 1 TiB")]
    [InlineData("65G", "is more than this host has (64 GiB)")]
    [InlineData("4097K", "is not a whole number of MiB. Did you mean '4M'?")]
    public void Refuses_the_rest_and_says_what_would_do(string text, string reason)
    {
        LaminaException e = Assert.Throws<LaminaException>(() => MemorySize.ParseMachineMemory(text, HostMemory));
        Assert.StartsWith($"--memory '{text}'", e.Message, StringComparison.Ordinal);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1023, "1023 bytes")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(512UL << 20, "512 MiB")]
    [InlineData(1UL << 40, "1 TiB")]
    public void Formats_for_people(ulong bytes, string text) => Assert.Equal(text, MemorySize.Format(bytes));
}
