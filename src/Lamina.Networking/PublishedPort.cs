namespace Lamina.Networking;

/// <summary>A port of the host that leads to one of the guest.</summary>
/// <param name="HostAddress">The host's address to listen at, or null for all.</param>
/// <param name="HostPort">The host's port.</param>
/// <param name="GuestPort">The guest's port.</param>
/// <param name="IsUdp">UDP instead of TCP.</param>
public readonly record struct PublishedPort(string? HostAddress, ushort HostPort, ushort GuestPort, bool IsUdp)
{
    /// <summary>As <c>lamina run --publish</c> takes it.</summary>
    public override string ToString() =>
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{(HostAddress == null ? "" : $"{HostAddress}:")}{HostPort}:{GuestPort}{(IsUdp ? "/udp" : "")}");
}
