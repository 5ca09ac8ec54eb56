namespace Lamina.Management.Protocol;

/// <summary>Why a request was not done.</summary>
/// <param name="Code">One of <see cref="ControlErrors"/>, for programs.</param>
/// <param name="Message">For people.</param>
public sealed record ControlError(string Code, string Message);
