using System.Buffers.Binary;
using Lamina.Machine.Display;
using Lamina.Machine.Input;

namespace Lamina.Vmm.Devices;

/// <summary>What a person uses of a machine: its keyboards, its pointer and its screen, whichever way the guest reaches them. Any thread.</summary>
internal sealed class UserDevices
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(2);
    private readonly Lock _typing = new();
    private IKeyboard[] _keyboards = [];

    /// <summary>The screen; null if there is none.</summary>
    internal IDisplay? Display { get; private set; }

    /// <summary>The pointer that is told where it is; null if there is none.</summary>
    internal IPointer? Pointer { get; private set; }

    /// <summary>Adds a personality's screen and the pointer beside it. Before the machine starts.</summary>
    internal void Add(IDisplay display, IPointer pointer) => (Display, Pointer) = (display, pointer);

    /// <summary>Adds a keyboard, a personality's before the PC's: the first that a guest listens to is typed on. Before the machine starts.</summary>
    internal void Add(IKeyboard keyboard) => _keyboards = [.. _keyboards, keyboard];

    /// <summary>Types, one key after the other, as fast as the guest takes them.</summary>
    /// <param name="strokes">Keys that go down and up.</param>
    /// <param name="patience">How long the guest may leave a key.</param>
    /// <exception cref="MachineConfigurationException">It listens to no keyboard, or has stopped to take what is typed.</exception>
    internal void Type(IReadOnlyList<KeyStroke> strokes, TimeSpan patience)
    {
        lock (_typing)
        {
            foreach (KeyStroke stroke in strokes)
            {
                long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
                while (Array.Find(_keyboards, static k => k.IsListening) is not { } keyboard || !keyboard.TrySend(stroke))
                {
                    if (Environment.TickCount64 >= end)
                    {
                        throw new MachineConfigurationException("The guest takes no keys: it has no driver for its keyboard, or stands still.");
                    }

                    Thread.Sleep(Pause);
                }
            }
        }
    }

    /// <summary>Whether the guest listens to a keyboard.</summary>
    internal bool HasListener => Array.Exists(_keyboards, static k => k.IsListening);

    /// <summary>Copies what the guest shows.</summary>
    /// <exception cref="MachineConfigurationException">There is no screen, or nothing on it.</exception>
    internal Screenshot TakeScreenshot()
    {
        if (Display is not { } display)
        {
            throw new MachineConfigurationException("The machine has no screen. Machines that show Hyper-V or Xen have one with --screen.");
        }

        // A guest that changes its mode meanwhile has another picture.
        for (int attempt = 0; attempt < 3 && display.TryGetMode(out DisplayMode mode); attempt++)
        {
            byte[] line = new byte[mode.LineLength];
            byte[] pixels = new byte[mode.Width * mode.Height * 3];
            int done = 0;
            while (done < mode.Height && display.TryReadLine(mode, done, line))
            {
                Convert(line, mode.Format, pixels.AsSpan(done * mode.Width * 3, mode.Width * 3));
                done++;
            }

            if (done == mode.Height)
            {
                return new Screenshot(mode.Width, mode.Height, pixels);
            }
        }

        throw new MachineConfigurationException("The guest shows nothing on its screen: it has no driver for it.");
    }

    private static void Convert(ReadOnlySpan<byte> line, PixelFormat format, Span<byte> pixels)
    {
        for (int i = 0; i < pixels.Length / 3; i++)
        {
            Span<byte> pixel = pixels.Slice(i * 3, 3);
            if (format == PixelFormat.Rgb32)
            {
                (pixel[0], pixel[1], pixel[2]) = (line[(i * 4) + 2], line[(i * 4) + 1], line[i * 4]);
            }
            else
            {
                int value = BinaryPrimitives.ReadUInt16LittleEndian(line[(i * 2)..]);
                int red = value >> 11, green = (value >> 5) & 63, blue = value & 31;
                (pixel[0], pixel[1], pixel[2]) = ((byte)((red << 3) | (red >> 2)), (byte)((green << 2) | (green >> 4)), (byte)((blue << 3) | (blue >> 2)));
            }
        }
    }
}
