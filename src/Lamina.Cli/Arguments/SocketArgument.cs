using System.Globalization;
using Lamina.Virtio.Socket;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The value of <c>--vsock</c>: the guest's address, then the path of a socket.</summary>
internal static class SocketArgument
{
    /// <summary>Parses the value.</summary>
    /// <exception cref="LaminaException">It is not one.</exception>
    public static SocketSettings Parse(string text)
    {
        int comma = text.IndexOf(',', StringComparison.Ordinal);
        if (comma < 0 || comma + 1 == text.Length)
        {
            throw new LaminaException($"--vsock '{text}' is not accepted. Write --vsock CID,PATH, such as --vsock 3,./guest.sock.");
        }

        return ulong.TryParse(text.AsSpan(0, comma), NumberStyles.None, CultureInfo.InvariantCulture, out ulong address)
            && address is >= SocketDevice.MinimumAddress and <= SocketDevice.MaximumAddress
            ? new SocketSettings { Address = address, Path = text[(comma + 1)..] }
            : throw new LaminaException($"--vsock '{text}': a guest's address is a number from {SocketDevice.MinimumAddress} to {SocketDevice.MaximumAddress}.");
    }
}
