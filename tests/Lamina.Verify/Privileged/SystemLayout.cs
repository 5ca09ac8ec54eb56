namespace Lamina.Verify.Privileged;

/// <summary>What is where in the 64 KiB of a <see cref="MachineImage"/>. Linear addresses below 64 KiB are the same as physical ones; in long mode those from <see cref="High"/> on, too.</summary>
internal static class SystemLayout
{
    public const ulong High = 0xffff_8000_0000_0000;
    public const int PageSize = 0x1000;
    public const int Root = 0;
    public const int Pointers = 0x1000;
    public const int Directory = 0x2000;
    public const int Table = 0x3000;
    public const int Gdt = 0x4000;
    public const int Ldt = 0x4800;
    public const int Idt = 0x5000;
    public const int Task = 0x6000;
    public const int TaskSize = 0x400;

    /// <summary>Code of CPL 0 to 2; that of CPL 3 is in the page behind it.</summary>
    public const int KernelCode = 0x7000;
    public const int UserCode = 0x8000;
    public const int KernelStack = 0x9000;
    public const int InnerStacks = 0xa000;
    public const int UserStack = 0xb000;
    public const int KernelData = 0xc000;
    public const int UserData = 0xd000;
    public const int Pages = 16;

    /// <summary>In a page of code: where the instruction is.</summary>
    public const int Instruction = 0x800;

    /// <summary>In a page of code: everywhere at a multiple of this, code may go on.</summary>
    public const int Landing = 0x10;
}
