"""Derivatives by complex numbers: JAX's convention, JAX's values, and differences.

EXPECTED was computed by JAX 0.7 in 64 bits, with jax.grad, jvp and vjp of the functions below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg

Z = np.array([0.3 + 0.4j, -1.1 + 0.7j, 0.8 - 1.3j])
W = np.array([1.2 - 0.3j, 0.5 + 0.9j, -0.7 + 0.2j])
R = np.array([0.5, 1.5, 2.0])
HERMITIAN = np.array([[2 + 0j, 0.3 - 0.5j, 0.1], [0.3 + 0.5j, 1.5, 0.2j], [0.1, -0.2j, 1.0]])
SQUARE = np.array([[1 + 1j, 0.5, 0.2j], [0.3, 2 - 1j, 0.1], [0.4j, 0.2, 1.5 + 0.5j]])
C = np.array([[0.3 + 0.1j, 0.2, 1j], [0.5, -0.3j, 0.7], [0.1, 0.9, 0.4 - 0.2j]])


def _re(x: Any) -> Any:
    return sg.real(sg.sum(x))


def _im(x: Any) -> Any:
    return sg.imag(sg.sum(x))


Cost = Callable[[Any], Any]
COSTS: dict[str, Cost] = {
    "abs": lambda z: sg.sum(sg.abs(z)),
    "abs2": lambda z: sg.sum(sg.abs(z) ** 2),
    "real": lambda z: sg.sum(z.real),
    "imag": lambda z: sg.sum(z.imag),
    "angle": lambda z: sg.sum(sg.angle(z)),
    "conj": lambda z: _re(z.conj() * z * W),
    "exp": lambda z: _re(sg.exp(z)),
    "log": lambda z: _im(sg.log(z)),
    "sqrt": lambda z: _re(sg.sqrt(z) * W),
    "sin": lambda z: _re(sg.sin(z)),
    "cos": lambda z: _im(sg.cos(z)),
    "tan": lambda z: _re(sg.tan(z)),
    "sinh": lambda z: _re(sg.sinh(z)),
    "cosh": lambda z: _re(sg.cosh(z) * W),
    "tanh": lambda z: _re(sg.tanh(z)),
    "mul": lambda z: _re(z * W * z),
    "div": lambda z: _im(W / z),
    "pow": lambda z: _re(z**W),
    "pow3": lambda z: _im(z**3),
    "square": lambda z: _re(sg.square(z) * 1j),
    "reciprocal": lambda z: _re(1 / z),
    "prod": lambda z: sg.real(sg.prod(z)),
    "cumsum": lambda z: _re(sg.cumsum(z) * W),
    "mean": lambda z: sg.abs(sg.mean(z)),
    "vdot": lambda z: sg.real(sg.vdot(z, W * z)),
    "matmul": lambda z: _re(sg.outer(z, W) @ z),
    "where": lambda z: _re(sg.where(z.real > 0, z * z, z.conj())),
    "index": lambda z: sg.imag(z[1] * z[0]),
    "var": lambda z: sg.var(z),
    "log_abs": lambda z: sg.sum(sg.log(sg.abs(z))),
    "asinh": lambda z: _re(sg.asinh(z)),
    "atanh": lambda z: _re(sg.atanh(z)),
    "acos": lambda z: _re(sg.acos(z)),
    "expm1": lambda z: _re(sg.expm1(z)),
    "log1p": lambda z: _re(sg.log1p(z)),
    "complex": lambda z: sg.sum(sg.abs(sg.complex(z.imag, z.real**2))),
    "norm": sg.linalg.norm,
    "fft": lambda z: sg.sum(sg.abs(sg.fft.fft(z)) ** 3),
    "ifft": lambda z: _re(sg.fft.ifft(z) * W),
    "irfft": lambda z: sg.sum(sg.fft.irfft(z, 4) ** 2),
    "hfft": lambda z: sg.sum(sg.fft.hfft(z) ** 2),
}
OF_REALS: dict[str, Cost] = {
    "real to complex": lambda r: sg.sum(sg.abs(sg.exp(1j * r) * W + r)),
    "rfft": lambda r: sg.sum(sg.abs(sg.fft.rfft(r) * (1 + 2j) + r[0]) ** 3),
    "ihfft": lambda r: sg.sum(sg.abs(sg.fft.ihfft(r) + 1j) ** 2),
}
OF_MATRICES: dict[str, tuple[Cost, Any]] = {
    "inv": (lambda m: _re(sg.linalg.inv(m) * C), SQUARE),
    "det": (lambda m: sg.linalg.det(m).real, SQUARE),
    "slogdet": (lambda m: sg.linalg.slogdet(m)[1], SQUARE),
    "solve": (lambda m: _re(sg.linalg.solve(m, C) * C), SQUARE),
    "svd": (lambda m: sg.sum(sg.linalg.svdvals(m) * R), SQUARE),
    "qr": (lambda m: sg.sum(sg.abs(sg.linalg.qr(m)[1] * C) ** 2), SQUARE),
    "eigvals": (lambda m: sg.sum(sg.abs(sg.linalg.eigvals(m)) ** 3), SQUARE),
    "cholesky": (lambda m: _re(sg.linalg.cholesky(m) * C), HERMITIAN),
    "eigvalsh": (lambda m: sg.sum(sg.linalg.eigvalsh(m) * R), HERMITIAN),
    "eigh": (lambda m: sg.sum(sg.abs(sg.linalg.eigh(m)[1] * C) ** 2), HERMITIAN),
}


EXPECTED: dict[str, Any] = {
    "abs": [(0.6-0.8j), (-0.8436614877321-0.5368754921932j), (0.5240974256643+0.8516583167045j)],
    "abs2": [(0.6-0.8j), (-2.2-1.4j), (1.6+2.6j)],
    "real": [(1+0j), (1+0j), (1+0j)],
    "imag": [-1j, -1j, -1j],
    "angle": [(-1.6-1.2j), (-0.4117647058824+0.6470588235294j), (0.5579399141631-0.343347639485j)],
    "conj": [(0.72-0.96j), (-1.1-0.7j), (-1.12-1.82j)],
    "exp": [
        (1.2433022950695+0.525659779197j), (0.2545938477394+0.2144414396883j),
        (0.5953295914278-2.1444381786299j),
    ],
    "log": [(-1.6-1.2j), (-0.4117647058824+0.6470588235294j), (0.5579399141631-0.343347639485j)],
    "sqrt": [
        (0.6640783086354-0.5692099788303j), (0.4395912966394-0.10002606642j),
        (-0.2867804382791-0.0675323355593j),
    ],
    "sin": [
        (1.0327878842028-0.1213856122079j), (0.5693397926878+0.676055378302j),
        (1.3731491678164+1.2183449860686j),
    ],
    "cos": [
        (-0.3924066848326+0.3194787307416j), (-0.3440906249311-1.1186158559393j),
        (1.1832744390992+1.4138473277654j),
    ],
    "tan": [
        (0.8995396199742+0.2144111842406j), (-0.2177770118054-1.2614231926295j),
        (0.0353262944503-0.2946342002093j),
    ],
    "sinh": [
        (0.962820530893+0.1185857878735j), (1.2761533802302-0.8604477241683j),
        (0.3577622814981-0.8557417886549j),
    ],
    "cosh": [
        (0.4587003144088+0.4043442603352j), (-1.4781800137163-0.3819589973134j),
        (0.0914421610442+0.9496009349685j),
    ],
    "tanh": [
        (1.0308453866976-0.2578394638665j), (0.1582712709801+0.3913362408797j),
        (-0.8165167922043+0.8273317665149j),
    ],
    "mul": [(0.96+0.78j), (-2.36-1.28j), (-0.6+2.14j)],
    "div": [
        (4.272-2.496j), (-0.4906574394464-0.3550173010381j), (0.3068761627586+0.0587596013925j),
    ],
    "pow": [
        (1.4065464782571+0.2103126643829j), (0.0888315908984+0.0013369113097j),
        (-0.0139014548471-0.4346952855608j),
    ],
    "pow3": [(0.72+0.21j), (-4.62-2.16j), (-6.24+3.15j)],
    "square": [(-0.8+0.6j), (-1.4-2.2j), (2.6+1.6j)],
    "reciprocal": [
        (1.12+3.84j), (-0.2491349480969-0.5328719723183j), (0.1934093462764-0.3831347050047j),
    ],
    "prod": [(0.03+1.99j), (0.76-0.07j), (-0.61-0.23j)],
    "cumsum": [(1+0.8j), (-0.2+1.1j), (-0.7+0.2j)],
    "mean": [0.3333333333333j, 0.3333333333333j, 0.3333333333333j],
    "vdot": [(0.72-0.96j), (-1.1-0.7j), (-1.12-1.82j)],
    "matmul": [(-1.06+0.58j), (-0.82+0.72j), (-0.96+0.96j)],
    "where": [(0.6+0.8j), (1+0j), (1.6-2.6j)],
    "index": [(0.7+1.1j), (0.4-0.3j), 0j],
    "var": [
        (0.2-0.3111111111111j), (-0.7333333333333-0.5111111111111j),
        (0.5333333333333+0.8222222222222j),
    ],
    "log_abs": [(1.2-1.6j), (-0.6470588235294-0.4117647058824j), (0.343347639485+0.5579399141631j)],
    "asinh": [
        (1.012247127408-0.1285074536552j), (0.6147559557985+0.2349961630207j),
        (0.4842933547434+0.4960749256013j),
    ],
    "atanh": [
        (0.8898128898129+0.1995841995842j), (0.1142857142857-0.6285714285714j),
        (0.2403592491412-0.2438767015676j),
    ],
    "acos": [
        (-0.9491402412152-0.1051394677612j), (-0.6136620728404+0.5121478549766j),
        (-0.5398031154639+0.2258941219319j),
    ],
    "expm1": [
        (1.2433022950695+0.525659779197j), (0.2545938477394+0.2144414396883j),
        (0.5953295914278-2.1444381786299j),
    ],
    "log1p": [(0.7027027027027-0.2162162162162j), (-0.2-1.4j), (0.3651115618661+0.26369168357j)],
    "complex": [
        (0.1317073170732-0.9756097560976j), (-1.9042968927532-0.5007542542927j),
        (0.7066944402042+0.8971706760405j),
    ],
    "norm": [
        (0.1450104733568-0.1933472978091j), (-0.5317050689751-0.338357771166j),
        (0.3866945956183+0.6283787178797j),
    ],
    "fft": [
        (14.8438884974145-17.9028092305839j), (-30.8558867377227-14.3356623234468j),
        (16.0119982403082+32.5984715540307j),
    ],
    "ifft": [
        (0.3333333333333+0.2666666666667j), (0.231260739117+0.0630768281804j),
        (0.6354059275497-0.6297434948471j),
    ],
    "irfft": [(0.15-0j), (-1.1-0.7j), (0.4-0j)],
    "hfft": [(2.4+0j), (-17.6-11.2j), (6.4+0j)],
    "real to complex": [0.8930851360182, -0.2422831977254, 1.5922642253375],
    "rfft": [630.429039949483, 579.1828193494481, 595.0664987160771],
    "ihfft": [0.6111111111111, 1.5217947136341, 0.5337608419215],
    "holomorphic exp": [
        (1.6496606878425+0.2578010465155j), (-0.0657003718498+0.3363551828096j),
        (0.0121569217265+1.6201726433265j),
    ],
    "holomorphic log": [
        (0.96-2.28j), (0.0470588235294-0.7882352941176j), (-0.3519313304721-0.3218884120172j),
    ],
    "holomorphic tan": [
        (1.1437708992412-0.0125684649036j), (1.0263923674639-0.8267109069396j),
        (0.0341984339266+0.2133091990366j),
    ],
    "jvp": [
        (0.744-0.042j), (0.5844273215017-1.2164064723119j), (-1.4982635156179-1.0036465701472j),
    ],
    "vjp": [
        (0.744-0.042j), (0.5844273215017-1.2164064723119j), (-1.4982635156179-1.0036465701472j),
    ],
    "linalg inv": [
        [(-0.0417682938089+0.1566133652576j), (-0.0012734286527+0.0677127929363j),
         (-0.2882115359899-0.2609360843003j)],
        [(-0.1235864440147+0.0227511738549j), (0.0036185941958+0.042071228197j),
         (-0.1271729215584+0.06491168445j)],
        [(0.1019936902991-0.0268117900733j), (-0.2500159046831-0.0472473539031j),
         (-0.0720850482496+0.1772092910801j)],
    ],
    "linalg det": [
        [(3.48-0.5j), (-0.45-0.11j), (-0.34-0.8j)], [(-0.75-0.21j), (1.08+2j), (-0.2+0j)],
        [(-0.15-0.4j), (-0.1-0.04j), (2.85+1j)],
    ],
    "linalg slogdet": [
        [(0.5191940935408-0.5065996233068j), (-0.0883801111927+0.0363989725868j),
         (-0.1539697826373-0.0919816937434j)],
        [(-0.1505435963053+0.056220448185j), (0.4232583219333+0.2019798146198j),
         (-0.033333795948+0.0243255823814j)],
        [(-0.0736515117238-0.0484234051098j), (-0.0215320144503+0.0054960320011j),
         (0.5966345041655-0.1799705691956j)],
    ],
    "linalg solve": [
        [(0.1721420613948-0.3683304652429j), (-0.0771158701832-0.155559933497j),
         (-0.2331420368743+0.0581617120912j)],
        [(-0.0980885079726-0.1266774661504j), (-0.0645993913356-0.0485368405112j),
         (-0.0555542110247+0.1293836572739j)],
        [(-0.2431873507613+0.032084942308j), (-0.0779992578529+0.1192399564118j),
         (-0.2175530185645+0.3241641422878j)],
    ],
    "linalg svd": [
        [(1.2282538140752-1.1954531705732j), (-0.4024242928149+0.1046081866187j),
         (-0.4255236840568-0.2089835208541j)],
        [(-0.5297538667684+0.1743377167917j), (0.6817106322666+0.3119345696727j),
         (-0.163287488273+0.0554017788371j)],
        [(-0.2127548963488-0.0706577391805j), (-0.1558385798368+0.0276869980592j),
         (1.4179154842768-0.4195954554738j)],
    ],
    "linalg qr": [
        [(0.0522916568096-0.1649692277955j), (0.004986433069-0.0097518412878j),
         (0.5877674581489-0.0832492271705j)],
        [(-0.0664686948082+0.0253823388992j), (0.3414666557237+0.1658767204153j),
         (0.2022690120083+0.020985132233j)],
        [(0.2626571732903-0.6316993095935j), (0.0635059802356+0.0729456776849j),
         (0.7229655733793-0.3207565276952j)],
    ],
    "linalg eigvals": [
        [(4.4460690552432-4.520088576845j), (-0.6976744018479+1.765944155206j),
         (-1.743148048035-0.5509666417256j)],
        [(-1.1687904035722+2.9792096922437j), (14.0882590411223+6.2349001237399j),
         (-0.5835023757545+1.0558811593149j)],
        [(-0.8985510991928-0.2799831212321j), (-0.3007507886157+0.5818947300081j),
         (6.0273570212467-1.7412347955361j)],
    ],
    "linalg cholesky": [
        [(0.0841837086063+0j), (0.1559614604309-0.0006500161381j),
         (-0.0269881291691-0.1021261259141j)],
        [(0.1559614604309+0.0006500161381j), (0.0079390279524+0j),
         (0.3924876134572+0.0266948169989j)],
        [(-0.0269881291691+0.1021261259141j), (0.3924876134572-0.0266948169989j),
         (0.2028806091919+0j)],
    ],
    "linalg eigvalsh": [
        [(1.7976170229122+0j), (0.1824165278622+0.2622215960522j),
         (-0.0437093666747+0.1254178511545j)],
        [(0.1824165278622-0.2622215960522j), (1.4308805508979+0j),
         (-0.0627089255772-0.435155646461j)],
        [(-0.0437093666747-0.1254178511545j), (-0.0627089255772+0.435155646461j),
         (0.7715024261899+0j)],
    ],
    "linalg eigh": [
        [(-0.0479520102296+0j), (0.2856340672236+0.3693985159603j),
         (-0.4530445577924+0.319974788237j)],
        [(0.2856340672236-0.3693985159603j), (-1.1352643636549+0j),
         (-0.1599873941185-0.4135353683029j)],
        [(-0.4530445577924-0.319974788237j), (-0.1599873941185+0.4135353683029j),
         (1.1832163738845+0j)],
    ],
}  # fmt: skip


def gradient(cost: Cost, at: np.ndarray, **options: Any) -> np.ndarray:
    x = sg.tensor("x", str(at.dtype), shape=at.shape)
    found: np.ndarray = sg.grad(cost(x), x, **options).eval({x: at})
    return found


def compare(found: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(found, np.array(EXPECTED[name]), rtol=2e-11, atol=1e-12)


@pytest.mark.parametrize("name", COSTS)
def test_gradients_of_real_costs_are_jax_s(name: str) -> None:
    compare(gradient(COSTS[name], Z), name)
    sg.verify_grad(COSTS[name], [Z * 1.1 + 0.1], rtol=1e-5)


@pytest.mark.parametrize("name", OF_REALS)
def test_real_variables_have_real_gradients(name: str) -> None:
    found = gradient(OF_REALS[name], R)
    assert found.dtype == np.float64
    compare(found, name)


@pytest.mark.parametrize("name", OF_MATRICES)
def test_gradients_of_matrix_functions_are_jax_s(name: str) -> None:
    cost, at = OF_MATRICES[name]
    compare(gradient(cost, at), f"linalg {name}")


@pytest.mark.parametrize("name", ["exp", "log", "tan"])
def test_holomorphic_derivatives(name: str) -> None:
    found = gradient(lambda z: sg.sum(getattr(sg, name)(z) * W), Z, holomorphic=True)
    compare(found, f"holomorphic {name}")


def test_products_with_the_jacobian() -> None:
    z = sg.tensor("z", "complex128", shape=(3,))
    y = sg.abs(z) * z.conj()
    forward, back = sg.jvp(y, z, sg.constant(W)), sg.vjp(y, z, sg.constant(W))
    found = sg.compile([z], [forward, back])(Z)
    compare(found[0], "jvp")
    compare(found[1], "vjp")


def test_second_derivatives() -> None:
    for name in ("abs2", "exp", "pow3", "div", "var", "fft"):

        def slope(z: Any, cost: Cost = COSTS[name]) -> Any:
            return sg.grad(cost(z), z)

        sg.verify_grad(slope, [Z])


def test_descent_along_the_conjugate() -> None:
    z = sg.shared(np.array([3 + 4j]), "z")
    cost = sg.sum(sg.abs(z - (1 - 2j)) ** 2)
    step = sg.compile([], cost, updates={z: z - 0.25 * sg.grad(cost, z).conj()})
    for _ in range(40):
        step()
    np.testing.assert_allclose(z.get_value(), 1 - 2j, atol=1e-9)


def test_loops() -> None:
    def through_scan(z: Any) -> Any:
        return sg.scan(lambda row, c: c * row + 1j, z, outputs_info=z[0])

    def through_cond(z: Any) -> Any:
        return sg.cond(sg.sum(z.real) > -1, lambda v: v * v, lambda v: v.conj() * 1j, z)

    sg.verify_grad(through_scan, [Z])
    sg.verify_grad(through_cond, [Z])
    sg.verify_grad(lambda z: sg.fori_loop(0, 3, lambda k, c: c * z + 1j, z), [Z])
