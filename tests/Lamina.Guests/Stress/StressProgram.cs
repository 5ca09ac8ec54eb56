using System.Buffers.Binary;
using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Guests.Stress;

/// <summary>
/// A first process that does what is hard for a translator, and says of each case whether the result was right: a static ELF file of one segment
/// that may be read, written and executed, written with an assembler.
/// </summary>
internal sealed partial class StressProgram
{
    private const ulong Image = 0x40_0000;
    private const ulong Code = Image + 0x1000;
    private const ulong Patched = Image + 0x5000;
    private const ulong Code32 = Image + 0x6000;
    private const ulong Strings = Image + 0x7000;

    // From here on nothing is in the file.
    private const ulong Data = Image + 0x8000;
    private const ulong Stack32 = Image + 0x2_0000;
    private const ulong ThreadStack = Image + 0x3_0000;
    private const ulong SharedPage = Image + 0x3_0000;
    private const ulong MemorySize = 0x4_0000;

    private const int Write = 1;
    private const int Mmap = 9;
    private const int Mprotect = 10;
    private const int SigAction = 13;
    private const int SigReturn = 15;
    private const int GetPid = 39;
    private const int Clone = 56;
    private const int Fork = 57;
    private const int Exit = 60;
    private const int Wait = 61;
    private const int Kill = 62;
    private const int Ptrace = 101;
    private const int Reboot = 169;
    private const int ExitGroup = 231;

    private readonly Assembler _a = new(64);
    private readonly List<byte> _strings = [];
    private readonly List<string> _cases = [];

    private StressProgram(bool threads)
    {
        _a.mov(rsp, Data + 0x8000);
        AddCodeCases();
        AddSignalCases();
        AddProcessCases();
        if (threads)
        {
            AddThreadCase();
        }

        Print("done\n");
        Call(Reboot, 0xfee1dead, 672274793, 0x4321fedc);
        _a.hlt();
        AddRoutines();
    }

    /// <summary>Its cases, in the order in which they report.</summary>
    public IReadOnlyList<string> Cases => _cases;

    /// <summary>The ELF file.</summary>
    public byte[] File { get; private set; } = [];

    /// <summary>Writes it.</summary>
    /// <param name="threads">With the case that needs two processors.</param>
    public static StressProgram Create(bool threads)
    {
        StressProgram program = new(threads);
        program.File = program.Link();
        return program;
    }

    private static byte[] Assemble(Assembler assembler, ulong address)
    {
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    private byte[] Link()
    {
        byte[] file = new byte[Data - Image];
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        Half(16, 2);
        Half(18, 62);
        Word(20, 1);
        Long(24, Code);
        Long(32, 64);
        Half(52, 64);
        Half(54, 56);
        Half(56, 1);
        Word(64, 1);
        Word(68, 7);
        Long(80, Image);
        Long(88, Image);
        Long(96, (ulong)file.Length);
        Long(104, MemorySize);
        Long(112, 4096);
        Place(Code, Patched, Assemble(_a, Code));
        Place(Code32, Strings, Assemble(WriteCode32(), Code32));
        Place(Strings, Data, [.. _strings]);
        return file;

        void Half(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(offset), value);

        void Word(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(offset), value);

        void Long(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(offset), value);

        void Place(ulong address, ulong end, byte[] bytes)
        {
            Assert.True(address + (ulong)bytes.Length <= end, $"{bytes.Length} bytes at {address:x}");
            bytes.CopyTo(file, (int)(address - Image));
        }
    }

    // A case: its code leaves a number in RAX.
    private void Check(string name, ulong expected, Action write)
    {
        Label wrong = _a.CreateLabel();
        Label next = _a.CreateLabel();
        _cases.Add(name);
        write();
        _a.mov(rcx, expected);
        _a.cmp(rax, rcx);
        _a.jne(wrong);
        Print($"pass {name}\n");
        _a.jmp(next);
        _a.Label(ref wrong);
        Print($"FAIL {name}\n");
        _a.Label(ref next);
        _a.nop();
    }

    private void Print(string text)
    {
        ulong address = Strings + (ulong)_strings.Count;
        _strings.AddRange(Encoding.ASCII.GetBytes(text));
        Call(Write, 1, address, (ulong)text.Length);
    }

    // A system call with arguments known now.
    private void Call(int number, params ReadOnlySpan<ulong> arguments)
    {
        AssemblerRegister64[] registers = [rdi, rsi, rdx, r10, r8, r9];
        for (int n = 0; n < arguments.Length; n++)
        {
            _a.mov(registers[n], arguments[n]);
        }

        _a.mov(eax, number);
        _a.syscall();
    }

    // A loop with its counter, from high to 1, in RBX.
    private void Repeat(int count, Action body)
    {
        Label head = _a.CreateLabel();
        _a.mov(ebx, count);
        _a.Label(ref head);
        body();
        _a.dec(ebx);
        _a.jne(head);
    }
}
