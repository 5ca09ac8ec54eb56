using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;
using Lamina.SoftCpu.Tests.Machines;
using Lamina.SoftCpu.Tests.Segmentation;

namespace Lamina.SoftCpu.Tests.Execute;

/// <summary>What control, debug and model-specific registers take and refuse, and who may touch them (Intel SDM volume 2, MOV; volume 3, sections 2.5 and 11.11, and chapter 17).</summary>
public sealed unsafe class ControlRegisterTests : IDisposable
{
    private const int Done = 31;
    private const int Undefined = 6;
    private const int Protection = 13;
    private const uint Pae = 0x20;
    private const uint TableOfPae = Layout.PageTables + 0x8000;
    private readonly TestMachine _machine = new();

    private ProcessorContext* Context => _machine.Context;

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData("0f22c0", 0x1_8001_0033UL, Protection)]
    [InlineData("0f22c0", 0x8001_0032UL, Protection)] // paging without protection
    [InlineData("0f22c0", 0xa001_0033UL, Protection)] // NW without CD
    [InlineData("0f22c0", 0x0001_0033UL, Protection)] // no paging in 64-bit code
    [InlineData("0f22c0", 0xe001_0033UL, Done)]
    [InlineData("0f22c0", 0x8000_0033UL, Done)]
    [InlineData("0f22d0", 0xffff_ffff_ffff_ffffUL, Done)]
    [InlineData("0f22d8", Layout.PageTables | 1UL << 45, Protection)]
    [InlineData("0f22d8", Layout.PageTables | 1UL << 63, Protection)]
    [InlineData("0f22d8", (ulong)Layout.PageTables, Done)]
    [InlineData("0f22e0", 0x600UL, Protection)] // no PAE
    [InlineData("0f22e0", 0x8000_0620UL, Protection)]
    [InlineData("0f22e0", 0x621UL, Protection)] // VME is not offered
    [InlineData("0f22e0", 0x35_0620UL, Done)]
    [InlineData("0f22e0", 0x2_0620UL, Done)] // PCIDE
    [InlineData("440f22c0", 16UL, Protection)]
    [InlineData("440f22c0", 15UL, Done)]
    [InlineData("0f22c8", 0UL, Undefined)]
    [InlineData("0f22e8", 0UL, Undefined)]
    [InlineData("0f20c8", 0UL, Undefined)]
    [InlineData("0f20e8", 0UL, Undefined)]
    [InlineData("0f20f0", 0UL, Undefined)]
    [InlineData("0f20f8", 0UL, Undefined)]
    [InlineData("440f20c8", 0UL, Undefined)]
    [InlineData("0f22f0", 0UL, Undefined)]
    [InlineData("0f22f8", 0UL, Undefined)]
    [InlineData("440f22c8", 0UL, Undefined)]
    [InlineData("f3480faec0", 0UL, Undefined)] // RDFSBASE without CR4.FSGSBASE
    [InlineData("0f20d0", 0UL, Done)]
    [InlineData("440f20c0", 0UL, Done)]
    [InlineData("0f23f0", 1UL << 32, Protection)]
    [InlineData("0f23f8", 1UL << 32, Protection)]
    [InlineData("0f23c0", 1UL << 32, Done)]
    [InlineData("0f23e0", 0xffff_0ff0UL, Done)] // DR4 is DR6
    [InlineData("440f23c0", 0UL, Undefined)]
    [InlineData("440f21c0", 0UL, Undefined)]
    [InlineData("0f01f0", 0UL, Done)] // LMSW
    [InlineData("66b8ff7f0f01f0", 0UL, Done)]
    [InlineData("0f06", 0UL, Done)]
    [InlineData("0f08", 0UL, Done)]
    [InlineData("0f09", 0UL, Done)]
    public void LongMode(string code, ulong value, int expected)
    {
        _machine.EnterLong(0);
        Context->Registers[0] = value;
        Assert.Equal(expected, Run(code));
    }

    [Fact]
    public void ProcessContextIdentifiersAreEnabledWithNone()
    {
        _machine.EnterLong(0);
        Context->Cr3 |= 8;
        Context->Registers[0] = 0x2_0620;
        Assert.Equal(Protection, Run("0f22e0"));
        _machine.EnterProtected(0);
        Context->Registers[0] = 0x2_0620;
        Assert.Equal(Protection, Run("0f22e0"));

        // With them bit 63 of CR3 says that nothing is to be dropped, and is not kept.
        _machine.EnterLong(0);
        Context->Registers[0] = 0x2_0620;
        Context->Registers[3] = Layout.PageTables | 1UL << 63;
        Assert.Equal(Done, Run("0f22e00f22db0f20d9"));
        Assert.Equal(Layout.PageTables, Context->Registers[1]);
    }

    [Fact]
    public void DebugRegistersFourAndFiveNeedNoExtensions()
    {
        _machine.EnterLong(0);
        Context->Cr4 |= 8;
        Assert.Equal(Undefined, Run("0f21e0"));
        Assert.Equal(Undefined, Run("0f23e8"));
        _machine.EnterLong(0);
        Context->Dr7 = 0x2400;
        Assert.Equal(1, Run("0f21f0"));
        Assert.Equal((0x2000UL, 0x400UL), (Context->Dr6 & 0x2000, Context->Dr7));
        _machine.EnterProtected(0);
        Context->Dr7 = 0x400;
        Context->Registers[0] = 0x1234_5678;
        Assert.Equal(Done, Run("0f23c80f21cb0f21f10f21fa"));
        Assert.Equal((0x1234_5678UL, 0x400UL), (Context->Registers[3], Context->Registers[2]));
    }

    [Theory]
    [InlineData("0f20c0")]
    [InlineData("0f22c0")]
    [InlineData("0f22d8")]
    [InlineData("0f21c0")]
    [InlineData("0f23c0")]
    [InlineData("0f06")]
    [InlineData("0f01f0")]
    [InlineData("0f08")]
    [InlineData("0f09")]
    [InlineData("0f0138")]
    [InlineData("660f388200")]
    [InlineData("0f30")]
    [InlineData("0f32")]
    [InlineData("0f01d1")]
    [InlineData("0f01f8")]
    [InlineData("0f0110")]
    [InlineData("0f0118")]
    [InlineData("0f00d0")]
    [InlineData("0f00d8")]
    [InlineData("f4")]
    public void Privileged(string code)
    {
        _machine.EnterLong(3);
        Context->Cr4 |= 1 << 18;
        ProcessorMode.Update(Context);
        Context->Registers[0] = TestMachine.UserStack;
        Assert.Equal(Protection, Run(code));
        Assert.Equal(0UL, _machine.Frame(0));
    }

    // CR0 and CR4 of 32-bit code; the page-directory pointers are looked at when PAE paging begins, and changes.
    [Theory]
    [InlineData(0UL, 0x100u, "0f22c0", 0x8000_0033u, Protection)] // EFER.LME without PAE
    [InlineData(0x8000_0000_0000_0001UL, Pae, "0f22c0", 0x8000_0033u, Protection)] // reserved bits
    [InlineData(1UL, Pae, "0f22c0", 0x8000_0033u, Done)]
    [InlineData(0UL, Pae, "0f22c0", 0x0000_0033u, Done)]
    public void EnablesPaging(ulong pointer, uint bits, string code, uint value, int expected)
    {
        _machine.EnterProtected(0);
        PreparePae(pointer == 0 ? 1 : pointer);
        Context->Cr4 |= bits & Pae;
        Context->Efer |= bits & 0x100;
        ProcessorMode.Update(Context);
        Context->Registers[0] = value;
        Assert.Equal(expected, Run(code));
    }

    [Theory]
    [InlineData("0f22d8", TableOfPae)]
    [InlineData("0f22e0", 0x6b0u)] // PGE and PSE
    [InlineData("0f22c0", 0xc000_0033u)]
    public void ReloadsPageDirectoryPointers(string code, uint value)
    {
        foreach (bool valid in (ReadOnlySpan<bool>)[true, false])
        {
            _machine.EnterProtected(0);
            PreparePae(1);
            Context->Cr4 |= Pae;
            ProcessorMode.Update(Context);
            Context->Registers[0] = 0x8000_0033;
            Context->Registers[1] = value;

            // Paging on, then the fourth pointer as it is to be, then what reads it again.
            Context->Registers[3] = TableOfPae + 24;
            string pointer = valid ? "c70300000000" : "c703ffffffff";
            Assert.Equal(valid ? Done : Protection, Run("0f22c0" + pointer + "89c8" + code));
        }
    }

    [Fact]
    public void LeavesLongModeFromCompatibilityMode()
    {
        // EFER.LME and PAE make paging long mode; the code is 32-bit code still, and may end it.
        _machine.EnterLong(0);
        _machine.EnterProtected(0);
        Context->Cr3 = Layout.PageTables;
        Context->Cr4 |= Pae;
        Context->Efer = 0x100;
        ProcessorMode.Update(Context);
        MemoryUnit.FlushTlb(Context);
        Context->Registers[0] = 0x8000_0033;
        Context->Registers[1] = 0x33;
        Context->Registers[2] = 0x2_0620;
        Assert.Equal(-1, RunToHalt("0f22c0" + "f4"));
        Assert.Equal(0x500UL, Context->Efer);
        Assert.Equal(-1, RunToHalt("0f22c1" + "f4"));
        Assert.Equal((0x100UL, 0x33UL), (Context->Efer, Context->Cr0 & 0xffff_ffff));
    }

    [Theory]
    [InlineData("0f01e0", 0x8001_0033UL)]
    [InlineData("660f01e0", 0xffff_ffff_ffff_0033UL)]
    [InlineData("480f01e0", 0x8001_0033UL)]
    public void StoresMachineStatusWord(string code, ulong expected)
    {
        _machine.EnterLong(0);
        Context->Registers[0] = ulong.MaxValue;
        Assert.Equal(Done, Run(code));
        Assert.Equal(expected, Context->Registers[0]);
        _machine.EnterLong(3);
        Assert.Equal(Done, Run(code));
        Context->Cr4 |= 1 << 11;
        _machine.EnterLong(3);
        Context->Cr4 |= 1 << 11;
        Assert.Equal(Protection, Run(code));
    }

    [Theory]
    [InlineData(0x3UL, 0UL, 0UL, Done)]
    [InlineData(0x4UL, 0UL, 0UL, Protection)]
    [InlineData(0x0UL, 0x1000UL, 0UL, Protection)]
    [InlineData(0x0UL, 0x1UL, 0UL, Protection)] // without CR4.PCIDE only 0
    [InlineData(0x1UL, 0x1UL, 0UL, Protection)]
    [InlineData(0x2UL, 0x1UL, 0UL, Done)]
    [InlineData(0x0UL, 0x0UL, 0x8000_0000_0000UL, Protection)]
    [InlineData(0x1UL, 0x0UL, 0x8000_0000_0000UL, Done)]
    [InlineData(0x0UL, 0x0UL, 0x1000UL, Done)]
    public void InvalidatesProcessContexts(ulong type, ulong identifier, ulong address, int expected)
    {
        _machine.EnterLong(0);
        _machine.At<ulong>(Layout.Data) = identifier;
        _machine.At<ulong>(Layout.Data + 8) = address;
        Context->Registers[0] = type;
        Context->Registers[3] = Layout.Data;
        Assert.Equal(expected, Run("660f388203"));
    }

    // In 32-bit code the type and the operand's offset have 32 bits.
    [Fact]
    public void InvalidatesProcessContextsIn32BitCode()
    {
        _machine.EnterProtected(0);
        _machine.At<ulong>(Layout.Data) = 0;
        Context->Registers[0] = 0xffff_ffff_0000_0002;
        Context->Registers[3] = Layout.Data;
        Assert.Equal(Done, Run("660f388203"));
        Assert.Equal(Done, Run("0f013b"));
        Context->Registers[3] = Layout.Data;
        Context->Segments[3].Limit = Layout.Data + 14;
        Assert.Equal(Protection, Run("660f388203"));
        _machine.EnterProtected(0);
        Context->Registers[3] = Layout.Data;
        Context->Segments[3].Limit = Layout.Data + 6;
        Assert.Equal(Protection, Run("660f388203"));
    }

    // Moves of 32-bit code; CR4.PGE under 32-bit paging, where there are no pointers to load.
    [Fact]
    public void ControlRegistersOf32BitCode()
    {
        const uint directory = Layout.PageTables + 0x6000;
        _machine.EnterProtected(0);
        for (uint n = 0; n < 4; n++)
        {
            _machine.At<uint>(directory + (n * 4)) = (n << 22) | 0x87;
        }

        Context->Cr2 = 0x1_2345_6789;
        Context->Cr4 |= 0x10;
        Context->Registers[0] = 0x8000_0033;
        Context->Registers[1] = directory;
        Context->Registers[2] = 0x690;

        // mov cr3, ecx; mov cr0, eax; mov cr3, ecx; mov cr4, edx; mov ebx, cr2; mov esi, cr3; mov edi, cr4
        Assert.Equal(Done, Run("0f22d9" + "0f22c0" + "0f22d9" + "0f22e2" + "0f20d3" + "0f20de" + "0f20e7"));
        Assert.Equal((0x2345_6789UL, (ulong)directory, 0x690UL), (Context->Registers[3], Context->Registers[6], Context->Registers[7]));

        // Bits that change no translation drop none.
        Context->Registers[2] = 0x694;
        Assert.Equal(Done, Run("0f22e2"));
    }

    [Fact]
    public void MachineStatusWordOfMemory()
    {
        _machine.EnterProtected(0);
        Context->Registers[3] = Layout.Data;
        _machine.At<ushort>(Layout.Data) = 0xfff8;
        Assert.Equal(Done, Run("0f0133"));

        // PE stays, ET is no bit of it.
        Assert.Equal(0x39UL, Context->Cr0 & 0xffff);
        Context->Segments[3].Limit = Layout.Data;
        Assert.Equal(Protection, Run("0f0133"));
    }

    // XGETBV and XSETBV (Intel SDM volume 2).
    [Theory]
    [InlineData("0f01d0", 2UL, 0UL, 0x4_0000UL, Protection)]
    [InlineData("0f01d0", 1UL, 0UL, 0x4_0000UL, Done)]
    [InlineData("0f01d0", 0UL, 0UL, 0UL, Undefined)]
    [InlineData("0f01d1", 0UL, 7UL, 0UL, Undefined)]
    [InlineData("0f01d1", 0UL, 7UL, 0x4_0000UL, Done)]
    [InlineData("0f01d1", 1UL, 7UL, 0x4_0000UL, Protection)]
    [InlineData("0f01d1", 0UL, 6UL, 0x4_0000UL, Protection)]
    [InlineData("0f01d1", 0UL, 5UL, 0x4_0000UL, Protection)]
    [InlineData("0f01d1", 0UL, 0x107UL, 0x4_0000UL, Protection)]
    public void ExtendedControlRegisters(string code, ulong register, ulong value, ulong cr4, int expected)
    {
        _machine.EnterLong(0);
        Context->Cr4 |= cr4;
        Context->Registers[0] = value;
        Context->Registers[1] = register;
        Assert.Equal(expected, Run(code));
    }

    [Fact]
    public void ExtendedControlRegister1IsThereIfOffered()
    {
        using TestMachine machine = new(features: FeatureEntries.All & ~ProcessorFeatures.Xgetbv1);
        machine.EnterLong(0);
        machine.Context->Cr4 |= 1 << 18;
        machine.Context->Registers[1] = 1;
        machine.Load(Layout.Code, 0x0f, 0x01, 0xd0, 0xcd, Done);
        Assert.Equal(Protection, machine.Run(Layout.Code));
    }

    // User pages open while data is watched, too, where each access is looked at (Intel SDM volume 2, STAC).
    [Fact]
    public void AccessControlIsOfCpl0()
    {
        _machine.EnterLong(3);
        Assert.Equal(Undefined, Run("0f01cb"));
        _machine.EnterLong(3);
        Assert.Equal(Undefined, Run("0f01ca"));
        _machine.EnterLong(0);
        Context->Cr4 |= 1 << 21;
        Context->Dr7 = 0x400 | 1 | (1UL << 16);
        Context->DebugAddress[0] = Layout.Data;
        DebugUnit.Update(Context);
        Context->Registers[3] = TestMachine.UserCode;
        Assert.Equal(Done, Run("0f01cb8a03"));
        Assert.Equal(14, Run("0f01cb0f01ca8a03"));
    }

    // What CPUID takes from the processor and not from its table (Intel SDM volume 2, CPUID).
    [Fact]
    public void CpuidTellsOfTheProcessor()
    {
        FakeController controller = new() { ApicId = 0x21 };
        _machine.EnterLong(0);
        _machine.Partition.ConnectInterruptController(_machine.Processor, controller);
        Assert.Equal((0x21u, 0u), (Cpuid(1, 0, 'b') >> 24, Cpuid(1, 0, 'c') >> 27 & 1));
        Context->Cr4 |= 1 << 18;
        Assert.Equal(1u, Cpuid(1, 0, 'c') >> 27 & 1);
        Context->Xcr0 = 3;
        Assert.Equal((576u, 576u), (Cpuid(0xd, 0, 'b'), Cpuid(0xd, 1, 'b')));
        Context->Xcr0 = 7;
        Assert.Equal((832u, 832u, 0u), (Cpuid(0xd, 0, 'b'), Cpuid(0xd, 1, 'b'), Cpuid(0xd, 2, 'b')));
        Assert.Equal((0x21u, 1u), (Cpuid(0xb, 1, 'd'), Cpuid(0xb, 1, 'c')));

        // A leaf above the last one answers as the last one does, which is 0DH here, with nothing of the processor's in it but what that has.
        Assert.Equal((832u, 0u), (Cpuid(0x1f, 0, 'b'), Cpuid(0x1f, 0, 'd')));

        using TestMachine old = new(features: FeatureEntries.All & ~(ProcessorFeatures.XsaveOpt | ProcessorFeatures.XsaveC | ProcessorFeatures.Xgetbv1));
        old.EnterLong(0);
        old.Context->Registers[0] = 0xd;
        old.Context->Registers[1] = 1;
        old.Load(Layout.Code, 0x0f, 0xa2, 0xcd, Done);
        Assert.Equal(Done, old.Run(Layout.Code));
        Assert.Equal(0UL, old.Context->Registers[3]);
    }

    // IA32_APIC_BASE's enable bit, without which there is none to tell of (Intel SDM volume 3, section 11.4.3).
    [Fact]
    public void CpuidHidesAControllerThatIsDisabled()
    {
        const uint apic = 1 << 9;
        FakeController controller = new();
        SoftwarePartition partition = new(new PartitionSettings
        {
            Memory = _machine.Memory,
            Ports = _machine.Ports,
            Mmio = _machine.Mmio,
            Clock = new StoppedClock(),
            TscFrequency = 2_500_000_000,
            PhysicalAddressBits = 40,
            Cpuid = [new CpuidEntry(1, CpuidEntry.AnySubleaf, 0, 0, 0, apic)],
        });
        using SoftwareProcessor processor = (SoftwareProcessor)partition.CreateProcessor(0);
        partition.ConnectInterruptController(processor, controller);
        foreach (bool enabled in (ReadOnlySpan<bool>)[true, false])
        {
            controller.IsEnabled = enabled;
            processor.Context->Registers[0] = 1;
            Assert.True(ProcessorHandlers.Cpuid(processor.Context, null));
            Assert.Equal(enabled ? apic : 0, processor.Context->Registers[2]);
        }

        partition.Dispose();
    }

    [Fact]
    public void TimeStampMayBeDenied()
    {
        foreach ((byte cpl, bool denied) in (ReadOnlySpan<(byte, bool)>)[(0, true), (3, false), (3, true)])
        {
            foreach (string code in (ReadOnlySpan<string>)["0f31", "0f01f9"])
            {
                _machine.EnterLong(cpl);
                Context->Cr4 |= denied ? 4u : 0;
                Assert.Equal(cpl == 3 && denied ? Protection : Done, Run(code));
            }
        }
    }

    // A register that refuses a value keeps the one that it had.
    [Theory]
    [InlineData(0x1bu, 0UL, false, false)]
    [InlineData(0x6e0u, 0UL, false, false)]
    [InlineData(0x808u, 0UL, false, false)]
    [InlineData(0x10u, 0x1234UL, true, true)]
    [InlineData(0x3bu, 0x1234UL, true, true)]
    [InlineData(0x48u, 0x407UL, true, true)]
    [InlineData(0x48u, 0x408UL, true, false)]
    [InlineData(0x49u, 1UL, false, true)]
    [InlineData(0x49u, 2UL, false, false)]
    [InlineData(0x79u, 1UL, false, true)]
    [InlineData(0x8bu, 1UL, true, true)]
    [InlineData(0xceu, 1UL, true, false)]
    [InlineData(0xfeu, 1UL, true, false)]
    [InlineData(0x10au, 1UL, true, false)]
    [InlineData(0x10bu, 1UL, false, false)]
    [InlineData(0x174u, 0x10UL, true, true)]
    [InlineData(0x175u, 0x7fff_ffff_ffffUL, true, true)]
    [InlineData(0x175u, 0x8000_0000_0000UL, true, false)]
    [InlineData(0x176u, 0xffff_8000_0000_0000UL, true, true)]
    [InlineData(0x176u, 0x7fff_8000_0000_0000UL, true, false)]
    [InlineData(0x179u, 0UL, true, false)]
    [InlineData(0x17au, 4UL, true, true)]
    [InlineData(0x1a0u, 1UL, true, true)]
    [InlineData(0x1d9u, 0UL, true, true)]
    [InlineData(0x1d9u, 1UL, true, false)]
    [InlineData(0x0u, 1UL, true, true)]
    [InlineData(0x1u, 1UL, true, true)]
    [InlineData(0x17u, 1UL, true, false)]
    [InlineData(0x3au, 1UL, true, false)]
    [InlineData(0x200u, 0x8000_0006UL, true, true)]
    [InlineData(0x200u, 0x8000_0002UL, true, false)]
    [InlineData(0x200u, 0x8000_0106UL, true, false)]
    [InlineData(0x20fu, 0xff_8000_0800UL, true, true)]
    [InlineData(0x20fu, 0xff_8000_0001UL, true, false)]
    [InlineData(0x20fu, 0x1_0000_0000_0800UL, true, false)]
    [InlineData(0x250u, 0x0606_0504_0100_0606UL, true, true)]
    [InlineData(0x250u, 0x0606_0606_0606_0602UL, true, false)]
    [InlineData(0x258u, 0UL, true, true)]
    [InlineData(0x259u, 0x0300_0000_0000_0000UL, true, false)]
    [InlineData(0x268u, 0x0505_0505_0505_0505UL, true, true)]
    [InlineData(0x26fu, 0x0101_0101_0101_0107UL, true, false)]
    [InlineData(0x277u, 0x0007_0406_0005_0106UL, true, true)]
    [InlineData(0x277u, 0x0007_0406_0007_0402UL, true, false)]
    [InlineData(0x277u, 0x0807_0406_0007_0406UL, true, false)]
    [InlineData(0x2ffu, 0xc06UL, true, true)]
    [InlineData(0x2ffu, 0x806UL, true, true)]
    [InlineData(0x2ffu, 0x803UL, true, false)]
    [InlineData(0x2ffu, 0x1806UL, true, false)]
    [InlineData(0x400u, 0xffff_ffff_ffff_ffffUL, true, true)]
    [InlineData(0x400u, 0xffff_ffff_ffff_fbffUL, true, true)]
    [InlineData(0x400u, 0x1UL, true, false)]
    [InlineData(0x401u, 0UL, true, true)]
    [InlineData(0x401u, 1UL, true, false)]
    [InlineData(0x402u, 1UL, true, true)]
    [InlineData(0x427u, 1UL, true, true)]
    [InlineData(0xc000_0080u, 0xd01UL, true, true)]
    [InlineData(0xc000_0080u, 0x501UL, true, true)]
    [InlineData(0xc000_0080u, 0x1_0d01UL, true, false)]
    [InlineData(0xc000_0080u, 0xc01UL, true, false)] // LME while paging is on
    [InlineData(0xc000_0081u, 0xffff_ffff_ffff_ffffUL, true, true)]
    [InlineData(0xc000_0082u, 0x8000_0000_0000UL, true, false)]
    [InlineData(0xc000_0083u, 0x1234UL, true, true)]
    [InlineData(0xc000_0084u, 0x1234UL, true, true)]
    [InlineData(0xc000_0100u, 0x1234UL, true, true)]
    [InlineData(0xc000_0101u, 0x8000_0000_0000UL, true, false)]
    [InlineData(0xc000_0102u, 0x1234UL, true, true)]
    [InlineData(0xc000_0103u, 0x1234UL, true, true)]
    [InlineData(0xc000_0103u, 0x1_0000_1234UL, true, false)]
    [InlineData(0x4000_0000u, 0UL, false, false)]
    [InlineData(0xc000_0fffu, 0UL, false, false)]
    public void ModelSpecificRegisters(uint index, ulong value, bool isReadable, bool isWritable)
    {
        // Those of which the processor keeps nothing.
        bool keeps = isWritable && index is not (0 or 1 or 0x8b);
        _machine.EnterLong(0);
        ulong before = Read(index, isReadable);
        _machine.EnterLong(0);
        Context->Registers[1] = index;
        Context->Registers[0] = (uint)value;
        Context->Registers[2] = value >> 32;
        Assert.Equal(isWritable ? Done : Protection, Run("0f30"));
        Assert.Equal(keeps && isReadable ? value : before, Read(index, isReadable));
    }

    [Theory]
    [InlineData(0x3bu)]
    [InlineData(0x48u)]
    [InlineData(0x49u)]
    [InlineData(0x10au)]
    public void RegistersOfFeaturesThatAreNotOffered(uint index)
    {
        using TestMachine machine = new(features: ProcessorFeatures.LongMode | ProcessorFeatures.Syscall | ProcessorFeatures.Msr);
        foreach (string code in (ReadOnlySpan<string>)["0f30", "0f32"])
        {
            machine.EnterLong(0);
            machine.Context->Registers[1] = index;
            machine.Load(Layout.Code, [.. Convert.FromHexString(code), 0xcd, Done]);
            Assert.Equal(Protection, machine.Run(Layout.Code));
        }
    }

    [Fact]
    public void ExecuteDisableIsRefusedWhereItIsNotOffered()
    {
        using TestMachine machine = new(features: ProcessorFeatures.LongMode | ProcessorFeatures.Syscall | ProcessorFeatures.Msr);
        machine.EnterLong(0);
        machine.Context->Registers[1] = 0xc000_0080;
        machine.Context->Registers[0] = 0xd01;
        machine.Load(Layout.Code, 0x0f, 0x30, 0xcd, Done);
        Assert.Equal(Protection, machine.Run(Layout.Code));
    }

    private uint Cpuid(uint leaf, uint subleaf, char register)
    {
        Context->Registers[0] = leaf;
        Context->Registers[1] = subleaf;
        Assert.Equal(Done, Run("0fa2"));
        return (uint)Context->Registers[register switch { 'a' => 0, 'c' => 1, 'd' => 2, _ => 3 }];
    }

    private ulong Read(uint index, bool isReadable)
    {
        ulong fs = Context->Segments[4].Base;
        ulong gs = Context->Segments[5].Base;
        ulong efer = Context->Efer;
        _machine.EnterLong(0);
        Context->Segments[4].Base = fs;
        Context->Segments[5].Base = gs;
        Context->Efer = efer;
        Context->Registers[1] = index;
        Assert.Equal(isReadable ? Done : Protection, Run("0f32"));
        return Context->Registers[0] | (Context->Registers[2] << 32);
    }

    private void PreparePae(ulong pointer)
    {
        _machine.At<ulong>(TableOfPae) = (TableOfPae + 0x1000) | pointer;
        _machine.At<ulong>(TableOfPae + 8) = 0;
        _machine.At<ulong>(TableOfPae + 16) = 0;
        _machine.At<ulong>(TableOfPae + 24) = 0;
        for (uint n = 0; n < 8; n++)
        {
            _machine.At<ulong>(TableOfPae + 0x1000 + (n * 8)) = (n << 21) | 0xe7;
        }

        Context->Cr3 = TableOfPae;
    }

    private int Run(string code)
    {
        uint address = Context->Cpl == 0 ? Layout.Code : TestMachine.UserCode;
        _machine.Load(address, [.. Convert.FromHexString(code), 0xcd, Done]);
        return _machine.Run(address);
    }

    private int RunToHalt(string code)
    {
        _machine.Load(Layout.Code, Convert.FromHexString(code));
        return _machine.Run(Layout.Code);
    }
}
