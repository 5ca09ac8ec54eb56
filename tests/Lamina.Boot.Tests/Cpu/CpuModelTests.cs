using System.Text;
using Lamina.Boot.Cpu;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Tests.Cpu;

public sealed class CpuModelTests
{
    private const ulong Gigahertz = 1_000_000_000;

    [Fact]
    public void TheLevelsAreThoseOfThePsAbi()
    {
        string[] second = ["cx16", "lahf_lm", "popcnt", "sse3", "sse4_1", "sse4_2", "ssse3"];
        string[] third = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"];
        string[] beyond = ["aes", "pclmulqdq", "sha_ni", "rdrand", "rdseed", "adx", "rdpid", "clflushopt"];
        Assert.Equal(["x86-64-v2", "x86-64-v3", "max"], CpuModel.Names);
        Assert.All(second, f => Assert.All(CpuModel.Names, m => Assert.True(All(m).HasFeature(f))));
        Assert.All(third.Except(["xsave"]), f => Assert.Equal([false, true, true], CpuModel.Names.Select(m => All(m).HasFeature(f))));
        Assert.All(beyond, f => Assert.Equal([false, false, true], CpuModel.Names.Select(m => All(m).HasFeature(f))));
    }

    [Fact]
    public void AFixedModelNamesWhatTheHostLacksAndMaxDoesWithout()
    {
        CpuModel fixedModel = CpuModel.Find("x86-64-v3", f => f.Name is not ("avx2" or "fma" or "smep"))!;
        Assert.Equal(["fma", "avx2"], fixedModel.MissingHostFeatures);
        CpuModel max = CpuModel.Find("max", f => f.Name is not ("avx" or "avx2" or "fma" or "f16c" or "smep"))!;
        Assert.Empty(max.MissingHostFeatures);
        Assert.False(max.HasFeature("avx2"));
        Assert.True(max.HasFeature("smep"));
        Assert.Equal((3u, 576u), (Get(max, 0xd).Eax, Get(max, 0xd).Ecx));
        Assert.Null(CpuModel.Find("x86-64-v9"));
        Assert.NotEmpty(CpuModel.Find("max")!.FeatureNames);
    }

    [Fact]
    public void TheProcessorHasNoWeaknessesAndNoFeaturesThatAreNotThere()
    {
        CpuModel max = All("max");
        CpuidEntry basic = Get(max, 1);
        CpuidEntry structured = Get(max, 7);
        Assert.Equal(0u, basic.Ecx & (1 << 3 | 1 << 5 | 1 << 6 | 1 << 2 | 1 << 27));
        Assert.Equal(1u << 31 | 1u << 24 | 1u << 21 | 1u << 17, basic.Ecx & (1u << 31 | 1u << 24 | 1u << 21 | 1u << 17));
        Assert.Equal(0u, structured.Ebx & (1u << 4 | 1u << 11 | 1u << 14 | 1u << 16 | 1u << 30 | 1u << 31));
        Assert.Equal(0u, structured.Ecx & (1u << 3 | 1u << 7 | 1u << 16));
        Assert.Equal(1u << 29 | 1u << 26 | 1u << 27 | 1u << 31, structured.Edx & 0xec00_0000);

        Assert.Equal(0x4000_0000_0d10_e17bUL, ArchitecturalCapabilities.Value);
    }

    [Fact]
    public void TextIsWhereProgramsLookForIt()
    {
        CpuModel model = All("x86-64-v3");
        CpuidEntry vendor = Get(model, 0);
        Assert.Equal("GenuineIntel", Text(vendor.Ebx, vendor.Edx, vendor.Ecx));
        Assert.Equal(0x16u, vendor.Eax);
        string brand = string.Concat(Enumerable.Range(0, 3).Select(i => Get(model, 0x8000_0002 + (uint)i)).Select(e => Text(e.Eax, e.Ebx, e.Ecx, e.Edx)));
        Assert.Equal("Lamina Virtual CPU (x86-64-v3)", brand.TrimEnd('\0'));
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(4, 2)]
    [InlineData(64, 6)]
    public void TheTopologyIsOneSocketOfSingleThreadedCores(int count, int coreBits)
    {
        CpuModel model = All("max");
        CpuidEntry basic = Get(model, 1, count);
        Assert.Equal((uint)count, basic.Ebx >> 16 & 0xff);
        Assert.Equal(count > 1, (basic.Edx >> 28 & 1) == 1);
        CpuidEntry thread = Get(model, 0xb, count);
        CpuidEntry core = Get(model, 0xb, count, 1);
        Assert.Equal((0u, 1u, 0x100u), (thread.Eax, thread.Ebx, thread.Ecx));
        Assert.Equal(((uint)coreBits, (uint)count, 0x201u), (core.Eax, core.Ebx, core.Ecx));
        Assert.Equal((0u, 0u, 2u), (Get(model, 0xb, count, 2).Eax, Get(model, 0xb, count, 2).Ebx, Get(model, 0xb, count, 2).Ecx));
        CpuidEntry first = Get(model, 4, count);
        CpuidEntry last = Get(model, 4, count, 3);
        Assert.Equal((1u << coreBits) - 1, first.Eax >> 26);
        Assert.Equal(0u, first.Eax >> 14 & 0xfff);
        Assert.Equal((1u << coreBits) - 1, last.Eax >> 14 & 0xfff);
        Assert.Equal(32u << 10, ((first.Ebx >> 22) + 1) * ((first.Ebx & 0xfff) + 1) * (first.Ecx + 1));
        Assert.Equal(16u << 20, ((last.Ebx >> 22) + 1) * ((last.Ebx & 0xfff) + 1) * (last.Ecx + 1));
    }

    [Theory]
    [InlineData(Gigahertz)]
    [InlineData(2_500_000_000UL)]
    [InlineData(2_595_124_000UL)]
    [InlineData(2_095_077_000UL)]
    [InlineData(2_899_998_000UL)]
    [InlineData(3_999_999_000UL)]
    [InlineData(2_596_148_000UL)]
    [InlineData(2_190_499_000UL)]
    [InlineData(2_249_875_000UL)]
    [InlineData(3_999_900_000UL)]
    public void LinuxComputesTheFrequencyInThirtyTwoBits(ulong frequency)
    {
        IReadOnlyList<CpuidEntry> entries = All("max").CreateEntries(1, frequency, 46);
        CpuidEntry ratio = entries.Single(e => e.Leaf == 0x15);
        Assert.Equal(CpuModel.GetCrystalFrequency(frequency), ratio.Ecx);
        ulong error = (frequency / 100_000) + 1000;
        Assert.InRange(unchecked(ratio.Ecx / 1000 * ratio.Ebx / ratio.Eax) * 1000UL, frequency - error, frequency + error);
        Assert.InRange((ulong)ratio.Ecx * ratio.Ebx / ratio.Eax, frequency - error, frequency + error);

        // As KVM's local APIC timers are, but where no ratio comes near enough.
        Assert.Equal(frequency == 3_999_900_000 ? (uint)frequency : Gigahertz, ratio.Ecx);
    }

    [Theory]
    [InlineData(Gigahertz, 2_596_148_000UL, Gigahertz)]
    [InlineData(2_596_148_000u, 2_596_148_000UL, 2_596_148_000UL)]
    [InlineData(24_000_000u, 2_596_148_000UL, null)]
    [InlineData(0u, 0UL, null)]
    public void ACrystalThatAGuestWasToldIsFound(uint told, ulong frequency, ulong? expected)
    {
        Assert.Equal(expected, CpuModel.FindCrystalFrequency([new CpuidEntry(0x15, 0, 1, 1, told, 0)], frequency));
        Assert.Null(CpuModel.FindCrystalFrequency([], frequency));
    }

    [Fact]
    public void ExtendedStateIsLegacyAndAvx()
    {
        CpuidEntry main = Get(All("max"), 0xd);
        CpuidEntry avx = Get(All("max"), 0xd, 1, 2);
        Assert.Equal((7u, 832u), (main.Eax, main.Ecx));
        Assert.Equal((256u, 576u), (avx.Eax, avx.Ebx));
        Assert.Equal(ProcessorState.XsaveAreaSize, (int)main.Ecx);
        Assert.Equal(7u, Get(All("max"), 0xd, 1, 1).Eax);
        Assert.DoesNotContain(All("x86-64-v2").CreateEntries(1, Gigahertz, 46), e => e is { Leaf: 0xd, Subleaf: 2 });
    }

    [Fact]
    public void WhatAnAcceleratorWithholdsIsNamed()
    {
        IReadOnlyList<CpuidEntry> wanted = All("max").CreateEntries(1, Gigahertz, 46);
        Assert.Empty(CpuModel.FindWithheld(wanted, wanted));
        CpuidEntry[] given =
        [
            .. wanted.Where(static e => e.Leaf != 0x8000_0006).Select(static e => e.Leaf switch
            {
                1 => e with { Ecx = e.Ecx & ~(1u << 28) },
                7 when e.Subleaf == 0 => e with { Ebx = e.Ebx & ~((1u << 5) | (1u << 0)) },
                0xd when e.Subleaf == 2 => e with { Eax = 0 },
                _ => e,
            }),
        ];
        Assert.Equal(["avx", "fsgsbase", "avx2", "CPUID DH.2", "CPUID 80000006H"], CpuModel.FindWithheld(wanted, given));
    }

    [Fact]
    public void AddressWidthsAreTold() => Assert.Equal(46u | 48u << 8, Get(All("max"), 0x8000_0008).Eax);

    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    public void NoLeafIsGivenTwice(int count)
    {
        IReadOnlyList<CpuidEntry> entries = All("max").CreateEntries(count, Gigahertz, 46);
        Assert.Equal(entries.Count, entries.Select(e => (e.Leaf, e.Subleaf)).Distinct().Count());
    }

    private static CpuModel All(string name) => CpuModel.Find(name, _ => true)!;

    private static CpuidEntry Get(CpuModel model, uint leaf, int count = 1, uint subleaf = 0)
    {
        return model.CreateEntries(count, Gigahertz, 46).Single(e => e.Leaf == leaf && (e.Subleaf == subleaf || e.Subleaf == CpuidEntry.AnySubleaf));
    }

    private static string Text(params uint[] words) => Encoding.ASCII.GetString([.. words.SelectMany(BitConverter.GetBytes)]);
}
