using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Rom;

/// <summary>
/// A program in the place of a PC's firmware: 64 or 128 KiB that end at 1 MiB, with a jump 16 bytes before (Intel SDM volume 3, section 10.1.4, as seen through the copy of the ROM below 1 MiB). It is entered in real
/// mode and finds nothing but the machine after its reset: no tables, no services, no memory map.
/// </summary>
internal sealed class RomKernel : IKernel
{
    private const int SmallLength = 64 << 10;
    private const int LargeLength = 128 << 10;
    private const int ResetOffset = 16;
    private const byte JumpShort = 0xeb;
    private const byte JumpNear = 0xe9;
    private const byte JumpFar = 0xea;
    private const int CodeSegment = 1;
    private const ushort Selector = 0xf000;
    private const uint SegmentBase = 0xf_0000;
    private const uint SegmentLimit = 0xffff;
    private const uint Code = 0x9b;
    private const ulong ResetVector = 0xfff0;
    private readonly BootImageReader _image;

    internal RomKernel(BootImageReader image) => _image = image;

    /// <inheritdoc/>
    public BootProtocol Protocol => BootProtocol.Rom;

    /// <inheritdoc/>
    public ulong Start => MachineLayout.HighMemoryStart - (ulong)_image.Length;

    /// <inheritdoc/>
    public ulong End => MachineLayout.HighMemoryStart;

    /// <inheritdoc/>
    public ulong InitrdMaximumAddress => uint.MaxValue;

    /// <inheritdoc/>
    public int CommandLineMaximumLength => 0;

    /// <summary>Whether the file is one.</summary>
    internal static bool Recognizes(BootImageReader image)
    {
        if (image.Length is not (SmallLength or LargeLength))
        {
            return false;
        }

        Span<byte> opcode = stackalloc byte[1];
        image.Read(image.Length - ResetOffset, opcode);
        return opcode[0] is JumpShort or JumpNear or JumpFar;
    }

    /// <inheritdoc/>
    public void Load(BootTarget target, in Handover handover) => target.Copy(_image, 0, _image.Length, Start);

    /// <inheritdoc/>
    public void SetEntryState(ProcessorState state)
    {
        state.Segments[CodeSegment] = new SegmentState(Selector, SegmentBase, SegmentLimit, Code);
        state.Rip = ResetVector;
    }
}
