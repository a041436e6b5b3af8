# EigenTrust by scipy, an implementation that shares nothing with ours.
# usage: scipy-oracle.py FOLDER ALPHA   reads sources.u32 targets.u32 weights.u32 priors.f64, writes scores.f64
import sys
import numpy as np
import scipy.sparse as sparse

folder, alpha = sys.argv[1], float(sys.argv[2])
source = np.fromfile(f"{folder}/sources.u32", np.uint32).astype(np.int64)
target = np.fromfile(f"{folder}/targets.u32", np.uint32).astype(np.int64)
weight = np.fromfile(f"{folder}/weights.u32", np.uint32).astype(float)
prior = np.fromfile(f"{folder}/priors.f64", np.float64)
n = len(prior)
prior /= prior.sum()
row_sum = np.bincount(source, weight, n)
matrix = sparse.csr_matrix((weight / row_sum[source], (target, source)), shape=(n, n))
silent = row_sum == 0
scores = prior.copy()
for _ in range(1000):
    following = (1 - alpha) * (matrix @ scores + scores[silent].sum() * prior) + alpha * prior
    moved = np.abs(following - scores).sum()
    scores = following
    if moved <= 1e-14:
        break
scores.tofile(f"{folder}/scores.f64")
