namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Random programs under the translator and the interpreter. LAMINA_SEED and LAMINA_COUNT choose others: a long run is
/// <c>LAMINA_SEED=0 LAMINA_COUNT=1000000 dotnet test --filter RandomPrograms</c>.
/// </summary>
public sealed class DifferentialTests
{
    private const int Group = 200;

    [Fact]
    public void RandomProgramsDoTheSame()
    {
        int seed = Setting("LAMINA_SEED", 1);
        int count = Setting("LAMINA_COUNT", 3000);
        for (int first = seed; first < seed + count; first += Group)
        {
            using Comparison machines = new();
            for (int n = first; n < Math.Min(first + Group, seed + count); n++)
            {
                string? difference = machines.Run(new RandomProgram(n));
                Assert.True(difference == null, difference == null ? null : difference + Alone(n, faults: false));
            }

            Assert.True(machines.Translator.Partition.Code!.Count > 0);
        }
    }

    [Fact]
    public void FaultsAndDeviceAccessesInRandomProgramsAreTheSame()
    {
        ulong faults = 0;
        int seed = Setting("LAMINA_SEED", 1);
        int count = Setting("LAMINA_COUNT", 3000) / 3;
        for (int first = seed; first < seed + count; first += Group)
        {
            using Comparison machines = new();
            for (int n = first; n < Math.Min(first + Group, seed + count); n++)
            {
                string? difference = machines.Run(new RandomProgram(n, faults: true));
                Assert.True(difference == null, difference == null ? null : difference + Alone(n, faults: true));
                faults += machines.FaultCount;
            }
        }

        Assert.True(faults > (ulong)count, $"{faults} faults");
    }

    [Fact]
    public void ASmallCodeCacheIsEmptiedAndRefilled()
    {
        using Comparison machines = new(codeSize: 80 << 10);
        for (int n = 0; n < 400; n++)
        {
            string? difference = machines.Run(new RandomProgram(50_000_000 + n));
            Assert.True(difference == null, difference);
        }

        Assert.InRange(machines.Translator.Partition.Blocks.Epoch, 3, 400);
    }

    [Fact]
    public void SoTheyDoWherePagesThatFollowEachOtherHaveFramesThatDoNot()
    {
        using Comparison machines = new();
        machines.ReverseFrames();
        for (int n = 0; n < 2 * Group; n++)
        {
            string? difference = machines.Run(new RandomProgram(70_000_000 + n));
            Assert.True(difference == null, difference);
        }
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1 << 20, false)]
    [InlineData(2, true)]
    public void EachTierDoesTheSameAndSoDoesStrictCode(int threshold, bool strict)
    {
        using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold, StrictCode = strict });
        for (int n = 0; n < Group; n++)
        {
            string? difference = machines.Run(new RandomProgram(60_000_000 + n, faults: n % 4 == 0));
            Assert.True(difference == null, difference);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(1 << 20)]
    public void SharedTranslationsDoTheSame(int threshold)
    {
        int seed = Setting("LAMINA_SEED", 1);
        int count = Setting("LAMINA_COUNT", 3000) / 5;
        for (int first = seed; first < seed + count; first += Group)
        {
            using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold, SharesAll = true });
            machines.ReverseFrames();
            for (int n = first; n < Math.Min(first + Group, seed + count); n++)
            {
                string? difference = machines.Run(new RandomProgram(n, faults: n % 4 == 0));
                Assert.True(difference == null, difference);
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(1 << 20)]
    public void WhatIsExecutedAtSeveralAddressesDoesTheSameAtEach(int threshold)
    {
        int seed = Setting("LAMINA_SEED", 1);
        int count = Setting("LAMINA_COUNT", 3000) / 10;
        for (int first = seed; first < seed + count; first += Group)
        {
            using Comparison machines = new(options: new TranslatorOptions { HotThreshold = threshold });
            for (int n = first; n < Math.Min(first + Group, seed + count); n++)
            {
                bool again = false;
                foreach (ulong alias in (ulong[])[0, 0x10_0000, Map.High, 0, Map.High])
                {
                    string? difference = machines.Run(new RandomProgram(n, faults: n % 4 == 0), alias, again);
                    Assert.True(difference == null, $"at {alias:x}: {difference}");
                    again = true;
                }
            }
        }
    }

    // Whether the seed alone shows the difference, or only what was there before; and where lockstep finds it.
    private static string Alone(int seed, bool faults)
    {
        using Comparison machines = new();
        string alone = machines.Run(new RandomProgram(seed, faults)) == null ? "only after the programs before it" : "alone too";
        LockstepMonitor monitor = new() { Interval = 1 };
        using Comparison again = new(options: new TranslatorOptions { Lockstep = monitor });
        again.Run(new RandomProgram(seed, faults));
        return $"{alone}; {monitor.Difference?.Summary ?? "lockstep finds nothing"}";
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : otherwise;
}
