using System.Text;
using Lamina.Boot.Elf;
using Lamina.Boot.Layout;
using Lamina.Boot.Linux;
using Lamina.Boot.Multiboot;
using Lamina.Boot.Pvh;
using Lamina.Boot.Rom;
using Lamina.Machine.Memory;
using Lamina.Machine.Processors;

namespace Lamina.Boot;

/// <summary>
/// Puts a kernel, its command line and its initial RAM disk into guest memory, and a processor at the kernel's entry. Construction examines everything; after it,
/// <see cref="Load"/> may be called at every reset.
/// </summary>
public sealed class BootLoader : IDisposable
{
    private const ulong PageSize = 4096;
    private readonly BootImageReader _kernelImage;
    private readonly BootImageReader? _initrdImage;
    private readonly MachineLayout _layout;
    private readonly IKernel _kernel;
    private readonly byte[] _commandLine;
    private readonly ulong _initrdAddress;

    /// <summary>Opens and examines what is to be booted.</summary>
    /// <exception cref="BootException">It cannot be booted on a machine of this layout.</exception>
    public BootLoader(BootSource source, MachineLayout layout)
    {
        _layout = layout;
        _kernelImage = source.Kernel.Open();
        try
        {
            _kernel = Recognize(_kernelImage, source.Protocol);
            if (_kernel.End > layout.LowMemoryEnd)
            {
                ulong needed = (_kernel.End + Mebibyte - 1) / Mebibyte;
                throw new BootException($"'{_kernelImage.Name}' needs RAM up to {needed} MiB, and the machine's ends at {layout.LowMemoryEnd / Mebibyte} MiB.");
            }

            _commandLine = EncodeCommandLine(source.CommandLine);
            _initrdImage = source.Initrd?.Open();
            if (_kernel.Protocol == BootProtocol.Rom && _initrdImage != null)
            {
                throw new BootException($"'{_kernelImage.Name}' is a ROM, which takes no initial RAM disk.");
            }

            _initrdAddress = PlaceInitrd();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private const ulong Mebibyte = 1 << 20;

    /// <summary>How the kernel is entered.</summary>
    public BootProtocol Protocol => _kernel.Protocol;

    /// <summary>The kernel's image.</summary>
    public BootImageReader KernelImage => _kernelImage;

    /// <summary>The initial RAM disk; null for none.</summary>
    public BootImageReader? InitrdImage => _initrdImage;

    /// <summary>Writes everything into guest memory.</summary>
    /// <param name="memory">RAM of the layout that was given at construction.</param>
    /// <param name="rootPointerAddress">Guest-physical address of the ACPI root pointer, or 0.</param>
    /// <exception cref="BootException">A file became unreadable since.</exception>
    public void Load(GuestMemory memory, ulong rootPointerAddress)
    {
        BootTarget target = new(memory, _layout);
        if (_kernel.CommandLineMaximumLength > 0)
        {
            target.Write(BootArea.CommandLine, _commandLine);
        }

        long initrdLength = _initrdImage?.Length ?? 0;
        if (initrdLength > 0)
        {
            target.Copy(_initrdImage!, 0, initrdLength, _initrdAddress);
        }

        _kernel.Load(target, new Handover(_commandLine.Length - 1, _initrdAddress, (ulong)initrdLength, rootPointerAddress));
    }

    /// <summary>Turns the state of the bootstrap processor after power-on reset into that at the kernel's entry.</summary>
    public void SetEntryState(ProcessorState state) => _kernel.SetEntryState(state);

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        _kernelImage.Dispose();
        _initrdImage?.Dispose();
    }

    private static IKernel Recognize(BootImageReader image, BootProtocol wanted)
    {
        Span<byte> start = stackalloc byte[LinuxKernel.HeaderBytes];
        start = start[..(int)Math.Min(start.Length, image.Length)];
        image.Read(0, start);
        bool isElf = ElfImage.Recognizes(start);
        if (!isElf && wanted is not (BootProtocol.Multiboot or BootProtocol.Rom) && LinuxKernel.Recognizes(start))
        {
            return new LinuxKernel(image, wanted);
        }

        // Where an ELF file offers both, PVH tells the kernel more.
        if (wanted is BootProtocol.Automatic or BootProtocol.Multiboot && MultibootHeader.Find(image) is { } header
            && !(wanted == BootProtocol.Automatic && isElf && PvhKernel.Recognizes(image)))
        {
            return new MultibootKernel(image, header, isElf);
        }

        if (isElf && wanted is not (BootProtocol.Multiboot or BootProtocol.Rom))
        {
            return new PvhKernel(image, wanted);
        }

        if (wanted is BootProtocol.Automatic or BootProtocol.Rom && RomKernel.Recognizes(image))
        {
            return new RomKernel(image);
        }

        string looks = image.Length == 0 ? "it is empty" : Describe(start);
        throw new BootException($"'{image.Name}' is not a kernel: {looks}; a Linux bzImage, an ELF file with a PVH entry, a Multiboot image, or a ROM of 64 or 128 KiB is accepted.");
    }

    private static string Describe(ReadOnlySpan<byte> start)
    {
        return start switch
        {
            [0x1f, 0x8b, ..] => "it is compressed with gzip",
            [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', ..] => "it is compressed with xz",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed with zstd",
            [(byte)'Q', (byte)'F', (byte)'I', 0xfb, ..] => "it is a qcow2 disk image",
            [(byte)'M', (byte)'Z', ..] => "it is an EFI program",
            [(byte)'0', (byte)'7', (byte)'0', (byte)'7', (byte)'0', ..] => "it is a cpio archive",
            _ => "it has no boot header of Linux or Multiboot",
        };
    }

    private byte[] EncodeCommandLine(string text)
    {
        if (text.AsSpan().ContainsAny('\0', '\n', '\r'))
        {
            throw new BootException("The kernel's command line holds a line break or a zero; one line is accepted.");
        }

        byte[] bytes = Encoding.UTF8.GetBytes(text + '\0');
        int length = bytes.Length - 1;
        return length <= _kernel.CommandLineMaximumLength
            ? bytes
            : throw new BootException($"The command line has {length} bytes; '{_kernelImage.Name}' accepts at most {_kernel.CommandLineMaximumLength}.");
    }

    // As high as the kernel allows below the PCI hole, and only if it does not fit there, above 4 GiB.
    private ulong PlaceInitrd()
    {
        if (_initrdImage == null || _initrdImage.Length == 0)
        {
            return 0;
        }

        ulong length = ((ulong)_initrdImage.Length + PageSize - 1) & ~(PageSize - 1);
        ulong limit = _kernel.InitrdMaximumAddress;
        ulong lowEnd = limit >= _layout.LowMemoryEnd ? _layout.LowMemoryEnd : (limit + 1) & ~(PageSize - 1);
        ulong room = lowEnd > _kernel.End ? lowEnd - _kernel.End : 0;
        if (length <= room && lowEnd - length >= _kernel.End)
        {
            return lowEnd - length;
        }

        if (limit > MachineLayout.UpperMemoryStart && length <= _layout.UpperMemoryLength)
        {
            return _layout.UpperMemoryEnd - length;
        }

        throw new BootException($"The initial RAM disk '{_initrdImage.Name}' has {_initrdImage.Length} bytes, and beside the kernel there is room for {room / PageSize * PageSize} in {_layout.MemorySize / Mebibyte} MiB of RAM.");
    }
}
