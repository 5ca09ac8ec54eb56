using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Tests.Fpu;

/// <summary>Exceptions: gates, alignment, pages, SIMD and x87 exceptions, features that are not offered.</summary>
public sealed unsafe class VectorFaultTests : IDisposable
{
    private const int Undefined = 6;
    private const int NotAvailable = 7;
    private const int Protection = 13;
    private const int PageFault = 14;
    private const int FloatingPoint = 16;
    private const int SimdFloatingPoint = 19;
    private const ulong Emulation = 4;
    private const ulong TaskSwitched = 8;

    private readonly GuestMachine _guest = new();

    private ProcessorContext* Context => _guest.Context;

    public void Dispose() => _guest.Dispose();

    [Theory]
    [InlineData("D9E8", NotAvailable, NotAvailable)] // fld1
    [InlineData("DBE3", NotAvailable, NotAvailable)] // fninit
    [InlineData("DFE0", NotAvailable, NotAvailable)] // fnstsw ax
    [InlineData("DBE2", NotAvailable, NotAvailable)] // fnclex
    [InlineData("DD3B", NotAvailable, NotAvailable)] // fnstsw m16
    [InlineData("D93B", NotAvailable, NotAvailable)] // fnstcw
    [InlineData("D92B", NotAvailable, NotAvailable)] // fldcw
    [InlineData("D933", NotAvailable, NotAvailable)] // fnstenv
    [InlineData("D923", NotAvailable, NotAvailable)] // fldenv
    [InlineData("DD33", NotAvailable, NotAvailable)] // fnsave
    [InlineData("DD23", NotAvailable, NotAvailable)] // frstor
    [InlineData("DB2B", NotAvailable, NotAvailable)] // fld m80
    [InlineData("0FAE03", NotAvailable, NotAvailable)] // fxsave
    [InlineData("0FFCC1", NotAvailable, Undefined)] // paddb mm
    [InlineData("0F77", NotAvailable, Undefined)] // emms
    [InlineData("0F58C1", NotAvailable, Undefined)] // addps
    [InlineData("0FAE13", NotAvailable, Undefined)] // ldmxcsr
    [InlineData("0F2AC1", NotAvailable, Undefined)] // cvtpi2ps
    [InlineData("C5F058C1", NotAvailable, null)] // vaddps
    [InlineData("C5F877", NotAvailable, null)] // vzeroupper
    [InlineData("DBF1", NotAvailable, NotAvailable)] // fcomi
    [InlineData("DD13", NotAvailable, NotAvailable)] // fst m64
    [InlineData("0FAE1B", NotAvailable, Undefined)] // stmxcsr
    [InlineData("0FF7C1", NotAvailable, Undefined)] // maskmovq
    [InlineData("660FF7C1", NotAvailable, Undefined)] // maskmovdqu
    [InlineData("660F7EC1", NotAvailable, Undefined)] // movd ecx, xmm0
    [InlineData("F30F1103", NotAvailable, Undefined)] // movss m32
    [InlineData("C5FC77", NotAvailable, null)] // vzeroall
    [InlineData("C5F9F7C1", NotAvailable, null)] // vmaskmovdqu
    [InlineData("C4E2712C03", NotAvailable, null)] // vmaskmovps
    [InlineData("C4E2712E03", NotAvailable, null)]
    [InlineData("C4E2699004B3", NotAvailable, null)] // vpgatherdd
    [InlineData("F30FB8C1", null, null)] // popcnt
    [InlineData("0FC303", null, null)] // movnti
    public void TaskSwitchedAndEmulation(string hex, int? switched, int? emulated)
    {
        byte[] code = Convert.FromHexString(hex);
        Context->Registers[3] = (ulong)_guest.Page;
        *(uint*)_guest.Page = 0x1f80;
        Context->Cr0 |= TaskSwitched;
        ProcessorMode.Update(Context);
        Assert.Equal(switched, _guest.Run(code));
        _guest.Reset();
        Context->Cr0 |= Emulation;
        ProcessorMode.Update(Context);
        Assert.Equal(emulated, _guest.Run(code));
    }

    [Fact]
    public void WaitChecksMonitorCoprocessor()
    {
        Context->Cr0 |= TaskSwitched;
        ProcessorMode.Update(Context);
        Assert.Equal(NotAvailable, _guest.Run([0x9b]));
        Context->Cr0 &= ~2UL;
        ProcessorMode.Update(Context);
        Assert.Null(_guest.Run([0x9b]));
    }

    [Theory]
    [InlineData(9, "0F58C1", Undefined)]
    [InlineData(9, "C5F058C1", null)]
    [InlineData(9, "0FFCC1", null)]
    [InlineData(18, "C5F058C1", Undefined)]
    [InlineData(18, "0FAE23", Undefined)]
    [InlineData(18, "0F01D0", Undefined)]
    [InlineData(18, "0F58C1", null)]
    public void ControlRegister4Gates(int bit, string hex, int? expected)
    {
        Context->Cr4 &= ~(1UL << bit);
        ProcessorMode.Update(Context);
        Assert.Equal(expected, _guest.Run(Convert.FromHexString(hex)));
    }

    [Fact]
    public void AvxNeedsItsStateComponents()
    {
        Context->Xcr0 = 3;
        ProcessorMode.Update(Context);
        Assert.Equal(Undefined, _guest.Run([0xc5, 0xf0, 0x58, 0xc1]));
    }

    [Theory]
    [InlineData("0F5803", 8, Protection)] // addps
    [InlineData("0F2803", 8, Protection)] // movaps
    [InlineData("0F2903", 1, Protection)]
    [InlineData("0F1003", 1, null)] // movups
    [InlineData("F30F5803", 1, null)] // addss
    [InlineData("660F3A630300", 1, null)] // pcmpistri
    [InlineData("C5F05803", 1, null)] // vaddps
    [InlineData("C5F82803", 8, Protection)] // vmovaps xmm
    [InlineData("C5FC2803", 16, Protection)] // vmovaps ymm
    [InlineData("C5FC2903", 16, Protection)]
    [InlineData("C5FCE703", 16, null)]
    [InlineData("C5FDE703", 16, Protection)] // vmovntdq ymm
    [InlineData("0FAE03", 8, Protection)] // fxsave
    [InlineData("0FAE0B", 8, Protection)]
    [InlineData("0FAE23", 32, Protection)] // xsave
    [InlineData("0FAE2B", 16, Protection)]
    public void Alignment(string hex, int offset, int? expected)
    {
        byte[] code = Convert.FromHexString(hex);
        if (!_guest.TryBind(code, out _))
        {
            Assert.Null(expected);
            return;
        }

        Context->Registers[3] = (ulong)_guest.Page + (ulong)offset;
        Assert.Equal(expected, _guest.Run(code));
    }

    [Theory]
    [InlineData("0F100B", false)] // movups load
    [InlineData("0F110B", true)]
    [InlineData("660FD60B", true)]
    [InlineData("660F7E0B", true)]
    [InlineData("DD1B", true)] // fstp m64
    [InlineData("DD03", false)] // fld m64
    [InlineData("DD33", true)] // fnsave
    [InlineData("0F7F0B", true)] // movq m64, mm1
    [InlineData("0F6F0B", false)]
    [InlineData("0FAE1B", true)] // stmxcsr
    public void FaultingAccessesChangeNothing(string hex, bool write)
    {
        byte[] code = Convert.FromHexString(hex);
        _guest.Memory.Fill(0x5a);
        Context->Registers[3] = (ulong)_guest.Page + 4096 - 2;
        _ = _guest.Run([0xd9, 0xe8]);
        NativeState before;
        NativeState empty = default;
        _guest.Store(&before, &empty);
        _guest.Map(1, write, false);
        Assert.Equal(PageFault, _guest.Run(code));
        Assert.Equal((ulong)_guest.Page + 4096, Context->Cr2);
        Assert.Equal(write ? 7u : 4u, Context->FaultCode);
        NativeState after;
        _guest.Store(&after, &empty);
        Assert.True(new Span<byte>(&before, sizeof(NativeState)).SequenceEqual(new Span<byte>(&after, sizeof(NativeState))));
        Assert.Equal(-1, _guest.Memory[..4096].IndexOfAnyExcept((byte)0x5a));
    }

    [Theory]
    [InlineData(0x1f00u, 0u)] // invalid operation, which does not come up
    [InlineData(0x1d80u, 4u)] // division by zero
    public void UnmaskedSimdExceptionsLeaveTheDestination(uint mxcsr, uint flags)
    {
        float* one = (float*)(Context->Vectors + 32);
        float* two = (float*)(Context->Vectors + 64);
        for (int n = 0; n < 4; n++)
        {
            one[n] = n + 1;
            two[n] = n == 2 ? 0 : 3;
        }

        // divps xmm1, xmm2
        Context->Mxcsr = mxcsr;
        byte[] before = new Span<byte>(one, 32).ToArray();
        int? fault = _guest.Run([0x0f, 0x5e, 0xca]);
        if (flags == 0)
        {
            Assert.Null(fault);
            Assert.Equal(mxcsr | 0x24, Context->Mxcsr);
            Assert.True(float.IsPositiveInfinity(one[2]));
            return;
        }

        // The inexact elements do not show: the exception came before the computation.
        Assert.Equal(SimdFloatingPoint, fault);
        Assert.Equal(mxcsr | flags, Context->Mxcsr);
        Assert.True(before.AsSpan().SequenceEqual(new Span<byte>(one, 32)));
        Context->Cr4 &= ~(1UL << 10);
        Assert.Equal(Undefined, _guest.Run([0x0f, 0x5e, 0xca]));
    }

    [Fact]
    public void UnmaskedUnderflowCountsExactResults()
    {
        // Half of the smallest normal number is exact, and tiny.
        *(float*)(Context->Vectors + 32) = 1.17549435e-38f;
        *(float*)(Context->Vectors + 64) = 0.5f;
        Assert.Null(_guest.Run([0xf3, 0x0f, 0x59, 0xca]));
        Assert.Equal(0x1f80u, Context->Mxcsr);
        *(float*)(Context->Vectors + 32) = 1.17549435e-38f;
        Context->Mxcsr = 0x1780;
        Assert.Equal(SimdFloatingPoint, _guest.Run([0xf3, 0x0f, 0x59, 0xca]));
        Assert.Equal(0x1790u, Context->Mxcsr);
        Assert.Equal(1.17549435e-38f, *(float*)(Context->Vectors + 32));
    }

    [Fact]
    public void UnmaskedComparisonLeavesFlags()
    {
        *(float*)(Context->Vectors + 32) = float.NaN;
        Context->Mxcsr = 0x1f00;
        Flags.SetStatus(Context, 0x41);
        Assert.Equal(SimdFloatingPoint, _guest.Run([0x0f, 0x2f, 0xca]));
        Assert.Equal(0x41u, Flags.GetStatus(Context));
    }

    [Fact]
    public void X87ExceptionsWaitForTheNextInstruction()
    {
        Assert.Null(_guest.Run([0xdb, 0xe3])); // fninit
        X87Image.SetControl(Context, 0x37b); // zero divide unmasked
        Assert.Null(_guest.Run([0xd9, 0xe8])); // fld1
        Assert.Null(_guest.Run([0xd9, 0xee])); // fldz
        Assert.Null(_guest.Run([0xd8, 0xf9])); // fdivr st0, st1: the exception is recorded
        Assert.Equal(0x8084, X87Image.Status(Context) & 0x80bf);
        Assert.Equal(FloatingPoint, _guest.Run([0xd9, 0xe8]));
        Assert.Equal(FloatingPoint, _guest.Run([0x9b]));
        Assert.Equal(FloatingPoint, _guest.Run([0x0f, 0xfc, 0xc1])); // paddb mm0, mm1
        Assert.Equal(FloatingPoint, _guest.Run([0x0f, 0xf7, 0xc1])); // maskmovq
        Assert.Equal(FloatingPoint, _guest.Run([0x0f, 0x77]));
        Assert.Null(_guest.Run([0xdf, 0xe0])); // fnstsw ax
        Assert.Equal(0x8084u, (uint)Context->Registers[0] & 0x80bf);
        Assert.Null(_guest.Run([0xdb, 0xe2])); // fnclex
        Assert.Null(_guest.Run([0xd9, 0xe8]));
    }

    [Fact]
    public void PointersAreTheGuests()
    {
        Context->Registers[3] = (ulong)_guest.Page + 64;
        Assert.Null(_guest.Run([0xdd, 0x43, 0x08])); // fld m64
        Assert.Equal(Context->Rip, X87Image.InstructionAddress(Context));
        Assert.Equal((ulong)_guest.Page + 72, X87Image.DataAddress(Context));
        Assert.Equal(0x543, X87Image.Opcode(Context));
    }

    [Fact]
    public void WithoutNumericErrorExceptionsAreIgnored()
    {
        Context->Cr0 &= ~0x20UL;
        X87Image.SetControl(Context, 0x37b);
        X87Image.SetStatus(Context, 4);
        Assert.Null(_guest.Run([0xd9, 0xe8]));
        Assert.Equal(0x8084, X87Image.Status(Context) & 0x80bf);
        Assert.Equal(0x3fff, *(ushort*)(X87Image.Register(Context, 0) + 8));
    }

    [Theory]
    [InlineData("C4E200F2C1", 8, true)] // andn
    [InlineData("C4E200F2C1", 4, true)]
    [InlineData("C5F06FC1", 8, false)]
    [InlineData("C5F16FC1", 8, false)] // vmovdqa with a vvvv
    [InlineData("C4E37D14C100", 8, false)] // vpextrb with L
    [InlineData("C4E2FD18C1", 8, false)] // vbroadcastss with W
    [InlineData("F00F58C1", 8, false)] // lock
    [InlineData("F3660F58C1", 8, true)] // addss: F3 before 66
    [InlineData("66F30FB8C1", 8, true)]
    public void Encodings(string hex, int codeSize, bool bound)
    {
        Assert.Equal(bound, _guest.TryBind(Convert.FromHexString(hex), out _, codeSize: codeSize));
    }

    [Theory]
    [InlineData("0F58C1", nameof(ProcessorFeatures.Sse))]
    [InlineData("660F58C1", nameof(ProcessorFeatures.Sse2))]
    [InlineData("C5F5FCC1", nameof(ProcessorFeatures.Avx2))]
    [InlineData("F30FBCC1", nameof(ProcessorFeatures.Bmi1))]
    [InlineData("C4E279DCC1", nameof(ProcessorFeatures.Aes))]
    [InlineData("C4E279DCC1", nameof(ProcessorFeatures.Avx))]
    [InlineData("DD0B", nameof(ProcessorFeatures.Sse3))]
    [InlineData("DAC1", nameof(ProcessorFeatures.Cmov))]
    [InlineData("0FAE33", nameof(ProcessorFeatures.XsaveOpt))]
    public void NotOfferedIsNotBound(string hex, string feature)
    {
        byte[] code = Convert.FromHexString(hex);
        Assert.True(_guest.TryBind(code, out _));
        Assert.False(_guest.TryBind(code, out _, GuestMachine.AllFeatures & ~Enum.Parse<ProcessorFeatures>(feature)));
    }

    [Fact]
    public void VexGeneralInstructionsNeedProtectedMode()
    {
        Assert.True(_guest.TryBind([0xc4, 0xe2, 0x70, 0xf2, 0xc2], out Instruction i, codeSize: 2));
        Context->Cr0 &= ~1UL;
        Context->LongMode = false;
        ProcessorMode.Update(Context);
        Assert.False(i.Handler(Context, &i));
        Assert.Equal(Undefined, Context->FaultVector);
    }

    [Fact]
    public void SetControlChecksItsValue()
    {
        Context->Cpl = 0;
        Context->Registers[1] = 0;
        Context->Registers[2] = 0;
        foreach ((uint value, bool good) in ((uint, bool)[])[(1, true), (3, true), (7, true), (0, false), (2, false), (5, false), (0x1f, false), (0xe7, false)])
        {
            Context->Registers[0] = value;
            Assert.Equal(good ? null : Protection, _guest.Run([0x0f, 0x01, 0xd1]));
        }

        Assert.Equal(7UL, Context->Xcr0);
        Context->Cpl = 3;
        Context->Registers[0] = 7;
        Assert.Equal(Protection, _guest.Run([0x0f, 0x01, 0xd1]));
    }

    [Theory]
    [InlineData(512, 8UL)] // a component that XCR0 has not
    [InlineData(520, 1UL)] // XCOMP_BV without the compaction bit
    [InlineData(528, 1UL)]
    [InlineData(520, 0x8000_0000_0000_0008UL)]
    public void RestoreChecksTheHeader(int offset, ulong value)
    {
        _guest.Memory.Clear();
        *(uint*)(_guest.Page + 24) = 0x1f80;
        Context->Registers[3] = (ulong)_guest.Page;
        Context->Registers[0] = 7;
        Context->Registers[2] = 0;
        Assert.Null(_guest.Run([0x0f, 0xae, 0x2b]));
        *(ulong*)(_guest.Page + offset) = value;
        Assert.Equal(Protection, _guest.Run([0x0f, 0xae, 0x2b]));
    }

    [Theory]
    [InlineData("0FAE13", 0)] // ldmxcsr
    [InlineData("0FAE0B", 24)] // fxrstor
    [InlineData("0FAE2B", 24)] // xrstor
    public void ReservedMxcsrBits(string hex, int offset)
    {
        _guest.Memory.Clear();
        Context->Registers[3] = (ulong)_guest.Page;
        Context->Registers[0] = 7;
        *(uint*)(_guest.Page + offset) = 0x1_0000;
        Assert.Equal(Protection, _guest.Run(Convert.FromHexString(hex)));
        Assert.Equal(0x1f80u, Context->Mxcsr);
    }
}
