using Iced.Intel;
using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Vmm.Tests.Interrupts;

/// <summary>A guest in 32-bit protected mode that lives from interrupts: descriptor tables, gates, and the registers of the controllers.</summary>
internal sealed class InterruptProgram
{
    public const byte TimerVector = 0x40;
    public const byte LineVector = 0x52;
    public const byte OtherVector = 0x61;
    public const byte LegacyVector = 0x30;
    public const uint LocalApic = 0xfee0_0000;
    public const uint IoApic = 0xfec0_0000;
    private const uint Origin = 0x20_0000;
    private const uint Gates = 0x21_0000;
    private const uint Descriptors = 0x22_0000;
    private const uint Pointers = 0x22_0100;
    private const uint Stack = 0x30_0000;

    private readonly Assembler _code = new(32);

    public Assembler Code => _code;

    /// <summary>Assembles: tables, and <paramref name="body"/>.</summary>
    public static BootImage Create(Action<InterruptProgram> body)
    {
        InterruptProgram program = new();
        Assembler c = program._code;
        c.cli();
        c.mov(__dword_ptr[Descriptors + 8], 0xffff);
        c.mov(__dword_ptr[Descriptors + 12], 0x00cf_9b00);
        c.mov(__dword_ptr[Descriptors + 16], 0xffff);
        c.mov(__dword_ptr[Descriptors + 20], 0x00cf_9300);
        c.mov(__dword_ptr[Pointers], 23);
        c.mov(__dword_ptr[Pointers + 2], Descriptors);
        c.mov(__dword_ptr[Pointers + 8], 0x7ff);
        c.mov(__dword_ptr[Pointers + 10], Gates);
        c.lgdt(__[Pointers]);
        c.lidt(__[Pointers + 8]);
        foreach (AssemblerRegisterSegment segment in (AssemblerRegisterSegment[])[ds, es, ss])
        {
            c.mov(eax, 0x10);
            c.mov(segment, eax);
        }

        c.mov(esp, Stack);
        // CS from the new table: the return address of the call is where the far return goes.
        Label reload = c.CreateLabel();
        Label loaded = c.CreateLabel();
        c.push(8);
        c.call(reload);
        c.jmp(loaded);
        c.Label(ref reload);
        c.retf();
        c.Label(ref loaded);
        body(program);
        using MemoryStream stream = new();
        c.Assemble(new StreamCodeWriter(stream), Origin);
        return BootImage.FromBytes(ElfImageBuilder.Create(stream.ToArray(), Origin), "interrupts");
    }

    /// <summary>Assembles 32-bit code for an address.</summary>
    public static byte[] Assemble(uint address, Action<Assembler> body)
    {
        Assembler code = new(32);
        body(code);
        using MemoryStream stream = new();
        code.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>Sets a gate. The handler is what <paramref name="handler"/> assembles at once.</summary>
    public void SetGate(byte vector, Action<Assembler> handler)
    {
        Label over = _code.CreateLabel();
        _code.call(over);
        handler(_code);
        _code.iretd();
        _code.Label(ref over);
        _code.pop(eax);
        int at = (int)(Gates + (vector * 8u));
        _code.mov(__word_ptr[at], ax);
        _code.mov(__dword_ptr[at + 2], 0x8e00_0008);
        _code.mov(__byte_ptr[at + 4], 0);
        _code.mov(__byte_ptr[at + 5], 0x8e);
        _code.shr(eax, 16);
        _code.mov(__word_ptr[at + 6], ax);
    }

    /// <summary>Writes a register of the local APIC.</summary>
    public void WriteLocal(uint offset, uint value) => _code.mov(__dword_ptr[LocalApic + offset], value);

    /// <summary>Ends an interrupt.</summary>
    public void EndOfInterrupt() => WriteLocal(0xb0, 0);

    /// <summary>Programs an input of the I/O APIC.</summary>
    public void WriteRedirection(int pin, uint low)
    {
        _code.mov(__dword_ptr[IoApic], 0x11 + (2 * pin));
        _code.mov(__dword_ptr[IoApic + 0x10], 0);
        _code.mov(__dword_ptr[IoApic], 0x10 + (2 * pin));
        _code.mov(__dword_ptr[IoApic + 0x10], low);
    }

    /// <summary>Writes a byte to a port.</summary>
    public void Out(ushort port, byte value)
    {
        _code.mov(dx, port);
        _code.mov(al, value);
        _code.@out(dx, al);
    }

    /// <summary>Halts until EBX has reached a number, and ends the machine with that as its status.</summary>
    public void HaltUntil(int count)
    {
        Label wait = _code.CreateLabel();
        _code.Label(ref wait);
        _code.sti();
        _code.hlt();
        _code.cli();
        _code.cmp(ebx, count);
        _code.jb(wait);
        _code.mov(eax, count);
        _code.@out(0xf4, eax);
        _code.hlt();
    }
}
