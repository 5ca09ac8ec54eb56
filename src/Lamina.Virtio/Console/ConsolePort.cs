using Lamina.Machine.Backends;

namespace Lamina.Virtio.Console;

/// <summary>One port of a <see cref="ConsoleDevice"/>: the guest's bytes go to an output, and bytes for the guest are offered here.</summary>
public sealed class ConsolePort : ICharacterInput
{
    /// <summary>Longest name, in bytes.</summary>
    public const int MaximumNameLength = 64;

    private readonly byte[] _name;
    private ConsoleDevice? _device;
    private int _number;

    /// <summary>Makes a port.</summary>
    /// <param name="name">The name by which the guest finds it, in UTF-8; empty for none.</param>
    /// <param name="isConsole">Whether it is a console, which a person sits at.</param>
    /// <param name="output">Where the guest's bytes go. Called with the device's lock held, so it may not call back.</param>
    public ConsolePort(ReadOnlySpan<byte> name, bool isConsole, ICharacterOutput output)
    {
        _name = name[..Math.Min(name.Length, MaximumNameLength)].ToArray();
        IsConsole = isConsole;
        Output = output;
    }

    /// <summary>Whether it is a console.</summary>
    public bool IsConsole { get; }

    internal ReadOnlySpan<byte> Name => _name;

    internal ICharacterOutput Output { get; }

    internal ICharacterInputReady? ReadyTarget { get; private set; }

    /// <summary>Whether somebody in the guest has it open.</summary>
    internal bool IsOpen { get; set; }

    /// <summary>Whether bytes were refused, and nobody has been told since that there is room.</summary>
    internal bool Refused { get; set; }

    /// <summary>Messages that the guest is owed, by <see cref="ControlEvent"/>.</summary>
    internal byte Owed { get; set; }

    /// <inheritdoc/>
    public int Receive(ReadOnlySpan<byte> data) => _device is null ? 0 : _device.Receive(_number, data);

    /// <inheritdoc/>
    public void SetReadyTarget(ICharacterInputReady target) => ReadyTarget = target;

    internal void Connect(ConsoleDevice device, int number)
    {
        _device = device;
        _number = number;
    }
}
