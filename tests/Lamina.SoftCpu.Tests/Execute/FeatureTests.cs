using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>An instruction that CPUID does not offer raises #UD; offered, it executes.</summary>
public sealed unsafe class FeatureTests
{
    private const int InvalidOpcode = 6;
    private const int Done = 0x80;

    [Theory]
    [InlineData(nameof(ProcessorFeatures.Fpu), "d9e8")]
    [InlineData(nameof(ProcessorFeatures.Tsc), "0f31")]
    [InlineData(nameof(ProcessorFeatures.Msr), "b9800000c00f32")]
    [InlineData(nameof(ProcessorFeatures.CmpXchg8B), "0fc70b")]
    [InlineData(nameof(ProcessorFeatures.Cmov), "0f44c1")]
    [InlineData(nameof(ProcessorFeatures.ClFlush), "0fae3b")]
    [InlineData(nameof(ProcessorFeatures.ClFlushOpt), "660fae3b")]
    [InlineData(nameof(ProcessorFeatures.Clwb), "660fae33")]
    [InlineData(nameof(ProcessorFeatures.Mmx), "0fefc0")]
    [InlineData(nameof(ProcessorFeatures.Fxsr), "0fae03")]
    [InlineData(nameof(ProcessorFeatures.Sse), "0f58c0")]
    [InlineData(nameof(ProcessorFeatures.Sse2), "660f58c0")]
    [InlineData(nameof(ProcessorFeatures.Sse2), "0faee8")]
    [InlineData(nameof(ProcessorFeatures.Sse3), "660f7cc0")]
    [InlineData(nameof(ProcessorFeatures.Pclmulqdq), "660f3a44c000")]
    [InlineData(nameof(ProcessorFeatures.Ssse3), "660f3800c0")]
    [InlineData(nameof(ProcessorFeatures.Fma), "c4e27998c0")]
    [InlineData(nameof(ProcessorFeatures.CmpXchg16B), "480fc70b")]
    [InlineData(nameof(ProcessorFeatures.Sse41), "660f3817c0")]
    [InlineData(nameof(ProcessorFeatures.Sse42), "f20f38f0c0")]
    [InlineData(nameof(ProcessorFeatures.Movbe), "0f38f003")]
    [InlineData(nameof(ProcessorFeatures.Popcnt), "f30fb8c0")]
    [InlineData(nameof(ProcessorFeatures.Aes), "660f38dcc0")]
    [InlineData(nameof(ProcessorFeatures.Xsave), "0f01d0")]
    [InlineData(nameof(ProcessorFeatures.Avx), "c5f858c0")]
    [InlineData(nameof(ProcessorFeatures.F16C), "c4e27913c0")]
    [InlineData(nameof(ProcessorFeatures.Rdrand), "0fc7f0")]
    [InlineData(nameof(ProcessorFeatures.Rdseed), "0fc7f8")]
    [InlineData(nameof(ProcessorFeatures.FsGsBase), "f3480faec0")]
    [InlineData(nameof(ProcessorFeatures.Bmi1), "c4e270f2c0")]
    [InlineData(nameof(ProcessorFeatures.Avx2), "c5fdfcc0")]
    [InlineData(nameof(ProcessorFeatures.Bmi2), "c4e271f7c0")]
    [InlineData(nameof(ProcessorFeatures.Invpcid), "b802000000660f388203")]
    [InlineData(nameof(ProcessorFeatures.Adx), "660f38f6c0")]
    [InlineData(nameof(ProcessorFeatures.Smap), "0f01cb")]
    [InlineData(nameof(ProcessorFeatures.Sha), "0f38c8c0")]
    [InlineData(nameof(ProcessorFeatures.Rdpid), "f30fc7f8")]
    [InlineData(nameof(ProcessorFeatures.LahfLm), "9f")]
    [InlineData(nameof(ProcessorFeatures.LahfLm), "9e")]
    [InlineData(nameof(ProcessorFeatures.Syscall), "31c931d20f05")]
    [InlineData(nameof(ProcessorFeatures.Rdtscp), "0f01f9")]
    [InlineData(nameof(ProcessorFeatures.XsaveOpt), "31c031d20fae33")]
    [InlineData(nameof(ProcessorFeatures.XsaveC), "31c031d20fc723")]
    [InlineData(nameof(ProcessorFeatures.Serialize), "0f01e8")]
    public void UndefinedUnlessOffered(string feature, string code)
    {
        Assert.Equal(InvalidOpcode, Run(FeatureEntries.All & ~Enum.Parse<ProcessorFeatures>(feature), code));
        Assert.Equal(Done, Run(FeatureEntries.All, code));
    }

    [Theory]
    [InlineData(nameof(ProcessorFeatures.Lzcnt), "f30fbdc3", 22, 9)]
    [InlineData(nameof(ProcessorFeatures.Bmi1), "f30fbcc3", 22, 22)]
    public void OlderMeaningUnlessOffered(string feature, string code, int older, int newer)
    {
        // LZCNT and TZCNT are BSR and BSF to a processor that does not know them. EBX is 0x400000.
        Assert.Equal(Done, Run(FeatureEntries.All & ~Enum.Parse<ProcessorFeatures>(feature), code, out ulong result));
        Assert.Equal((ulong)older, result);
        Assert.Equal(Done, Run(FeatureEntries.All, code, out result));
        Assert.Equal((ulong)newer, result);
    }

    private static int Run(ProcessorFeatures features, string code) => Run(features, code, out _);

    private static int Run(ProcessorFeatures features, string code, out ulong rax)
    {
        using TestMachine machine = new(features: features);
        machine.EnterLong(0);
        ProcessorContext* c = machine.Context;
        c->Cr4 |= 0x5_0000;
        c->Xcr0 = 7;
        c->Lstar = Layout.Handler + 0x800;
        c->Star = 0x10UL << 32;
        Lamina.SoftCpu.Execute.ProcessorMode.Update(c);
        c->Registers[3] = TestMachine.Frames;
        machine.Load(Layout.Code, [.. Convert.FromHexString(code), 0xcd, 0x80]);
        int vector = machine.Run(Layout.Code);
        rax = c->Registers[0];
        return vector;
    }
}
